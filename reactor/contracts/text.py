"""The one place that decides what becomes of bytes from outside that are not UTF-8, and of text that cannot be UTF-8.

Inside the daemon such bytes travel as Python's operating system names do: `str` with `surrogateescape`, so that nothing
is lost. At the edges one of three things is done with them:

- *shown* to people, in logs, errors and lists: `shown` (each such byte as `\\xNN`);
- *kept* beside what is shown, in events and results: `named` (the escaped text, and the bytes in base64);
- *refused*, with the position of the first bad byte: `not_utf8`.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Mapping
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = codecs.BOM_UTF8


def is_text(value: str) -> bool:
    """Whether the text can be written as UTF-8: it has no lone surrogate."""
    return value.isascii() or _SURROGATE.search(value) is None


def raw(value: str | bytes) -> bytes:
    """The bytes that a name stands for; `str` as the operating system's calls give it (`surrogateescape`). A surrogate
    that stands for no byte is written as `\\uNNNN`."""
    if isinstance(value, bytes):
        return value
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return shown(value).encode("utf-8")


def shown(value: str | bytes) -> str:
    """The text as a person may read it: what is not UTF-8 is written `\\xNN`, a surrogate that stands for no byte
    `\\uNNNN`. Valid text comes back unchanged."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if is_text(value):
        return value
    return _SURROGATE.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def named(field: str, value: str | bytes) -> dict[str, str]:
    """`{field: text}` for a value that is UTF-8; for any other also `{field}_bytes`, its bytes in base64."""
    text = shown(value)
    data = raw(value)
    if isinstance(value, str):
        plain = is_text(value)
    else:
        plain = text.encode("utf-8") == value
    if plain:
        return {field: text}
    return {field: text, f"{field}_bytes": base64.b64encode(data).decode("ascii")}


def not_utf8(data: bytes) -> str | None:
    """Why the bytes are not UTF-8 ("byte 0xe9 at position 5 is not UTF-8"); None when they are."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte 0x{data[error.start]:02x} at position {error.start} is not UTF-8"
    return None


def without_bom(data: bytes) -> bytes:
    """The bytes without a byte order mark of UTF-8."""
    return data[len(_BOM) :] if data.startswith(_BOM) else data


def clean(value: Any) -> Any:
    """JSON data in which each text can be written as UTF-8: what cannot is `shown`. For logs and live views, which must
    never fail; what a flow computes is refused instead. Data without such text comes back as it is."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {shown(key) if isinstance(key, str) else key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value
