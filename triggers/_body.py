"""HTTP bodies to data, by content type."""

from __future__ import annotations

import base64
import urllib.parse
from typing import Any

import msgspec

MAX_DEPTH_ERROR = "the JSON is nested too deeply"
MAX_FIELDS = 1000


class BadBody(Exception):
    """The body is not what its content type says."""


def decode_body(raw: bytes, content_type: str) -> Any:
    """JSON, forms and XML as data, text as a string, everything else as base64 (auto where there is no content type).

    Raises BadBody."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if not raw:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        return _json(raw)
    if kind == "application/x-www-form-urlencoded":
        return _form(raw)
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        from triggers._xml import decode_xml

        return decode_xml(raw)
    if kind.startswith("text/") or kind == "application/yaml":
        return _text(raw, parameters)
    if kind == "":
        return auto(raw)
    return base64.b64encode(raw).decode()


def auto(raw: bytes) -> Any:
    """JSON if it parses, else UTF-8 text, else base64."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()


def _json(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(f"the body is no JSON: {error}") from None
    except RecursionError:
        raise BadBody(MAX_DEPTH_ERROR) from None


def _form(raw: bytes) -> dict[str, Any]:
    """Fields of a form; a repeated one is a list."""
    try:
        pairs = urllib.parse.parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise BadBody(f"the body is no form: {error}") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _text(raw: bytes, parameters: str) -> str:
    charset = "utf-8"
    for part in parameters.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            charset = value.strip("\"' ").lower()
    if charset not in ("utf-8", "utf8", "us-ascii", "iso-8859-1", "latin-1", "windows-1252", "utf-16"):
        raise BadBody(f"the charset {charset} is not read here")
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        raise BadBody(f"the body is no {charset} text") from None
