"""Messages to data, by the option `decode`."""

from __future__ import annotations

import base64
from typing import Any, Literal

from reactor.kit.charset import NotText, decode_json, decode_text
from triggers.kit.body import auto

Decode = Literal["auto", "json", "text", "bytes"]


def decode(raw: bytes, how: Decode) -> tuple[Any, str | None]:
    """The data, and why it is not what it should be: then the data is base64, and the event is kept as `invalid`."""
    if how == "auto":
        return auto(raw), None
    if how == "bytes":
        return base64.b64encode(raw).decode(), None
    try:
        return (decode_json(raw) if how == "json" else decode_text(raw)), None
    except NotText as error:
        said = "JSON" if how == "json" else "text"
        return base64.b64encode(raw).decode(), f"the message is not valid {said}: {error}"


def text(value: object) -> str:
    """A header or key as text: UTF-8, else base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)
