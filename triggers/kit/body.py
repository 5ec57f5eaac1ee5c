"""HTTP bodies to data, by content type."""

from __future__ import annotations

import base64
from typing import Any

from reactor.contracts.text import without_bom
from reactor.kit.charset import NotText, decode_json, decode_text, keeps_ascii, parameter, unquoted
from triggers.kit.bad_body import BadBody

MAX_FIELDS = 1000


def decode_body(raw: bytes, content_type: str) -> Any:
    """JSON, forms and XML as data, text as a string, everything else as base64 (auto where there is no content type).

    Raises BadBody."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = parameter(content_type, "charset")
    if not raw:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        return _json(raw, charset)
    if kind == "application/x-www-form-urlencoded":
        return _form(raw, charset)
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        from triggers.kit.xml import decode_xml

        return decode_xml(raw, charset)
    if kind.startswith("text/") or kind == "application/yaml":
        return _text(raw, charset)
    if kind == "":
        return auto(raw)
    return base64.b64encode(raw).decode()


def auto(raw: bytes) -> Any:
    """JSON if it parses, else UTF-8 text, else base64."""
    try:
        return decode_json(raw)
    except NotText:
        pass
    try:
        return decode_text(raw)
    except NotText:
        return base64.b64encode(raw).decode()


def _json(raw: bytes, charset: str | None) -> Any:
    try:
        return decode_json(raw, charset)
    except NotText as error:
        raise BadBody(f"the body is not valid JSON: {error}") from None


def _text(raw: bytes, charset: str | None) -> str:
    try:
        return decode_text(raw, charset)
    except NotText as error:
        raise BadBody(f"the body cannot be read as text: {error}") from None


def _form(raw: bytes, charset: str | None) -> dict[str, Any]:
    """Fields of a form; a repeated one is a list. The charset is that of the content type, else what the form says of
    itself in a field `_charset_` (HTML) or `charset` (PayPal), else UTF-8."""
    plain = without_bom(raw)
    place = len(raw) - len(plain)
    parts = plain.split(b"&", MAX_FIELDS)
    if len(parts) > MAX_FIELDS:
        raise BadBody(f"the form has more than {MAX_FIELDS:,} fields")
    charset = charset or _own_charset(parts)
    if charset is not None and not keeps_ascii(charset):
        raise BadBody(f"the charset {charset[:40]!r} is not one for forms")
    fields: dict[str, Any] = {}
    for part in parts:
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        if part:
            add_field(fields, _field(name, charset, place), _field(value, charset, place + len(name) + 1))
        place += len(part) + 1
    return fields


def _field(raw: bytes, charset: str | None, place: int) -> str:
    if b"%" not in raw and raw.isascii():
        return raw.decode()
    try:
        return unquoted(raw, charset, place)
    except NotText as error:
        raise BadBody(f"the body is not a valid form: {error}") from None


def _own_charset(parts: list[bytes]) -> str | None:
    for name in (b"_charset_=", b"charset="):
        given = [part[len(name) :].decode("ascii", "replace") for part in parts if part.startswith(name)]
        if len(given) == 1 and keeps_ascii(given[0]):
            return given[0]
    return None


def add_field(into: dict[str, Any], name: str, value: Any) -> None:
    """A name that comes again makes a list."""
    if name not in into:
        into[name] = value
    elif isinstance(into[name], list):
        into[name].append(value)
    else:
        into[name] = [into[name], value]
