"""Names of files as text, and back: file names are bytes, and what a flow sees is UTF-8.

`text_of` writes each byte that is not UTF-8 as `\\xNN` (two lower-case digits, 80 to ff). A backslash that would read
as such an escape is written `\\x5c`, so that `name_of` gives back exactly the name, whatever it is. All other names are
the same as text.
"""

from __future__ import annotations

import base64
import re

from reactor.contracts.text import is_text, raw

LONGEST_NAME = 255
"""Bytes of one name, as Linux has it."""
LONGEST_PATH = 4095

_ODD = re.compile("[\udc80-\udcff]|\\\\(?=x(?:5c|[89a-f][0-9a-f]))")
_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def text_of(name: str) -> str:
    """A name or path of the operating system (`surrogateescape`) as text."""
    return name if is_text(name) and "\\x" not in name else _ODD.sub(_escaped, name)


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return "\\x5c" if character == "\\" else f"\\x{ord(character) - 0xDC00:02x}"


def name_of(text: str) -> str:
    """The name or path that a text stands for, as the operating system's calls take it. Raises ValueError for a text
    that no bytes stand for (a lone surrogate)."""
    if not is_text(text):
        raise ValueError("the path has a character that is not valid Unicode")
    if "\\x" not in text:
        return text
    found = _ESCAPE.sub(lambda match: bytes.fromhex(match.group(1)).decode("utf-8", "surrogateescape"), text)
    return raw(found).decode("utf-8", "surrogateescape")


def named(field: str, name: str) -> dict[str, str]:
    """`{field: text}`; for a name that is not UTF-8 also `{field}_bytes`, its bytes in base64."""
    if is_text(name):
        return {field: text_of(name)}
    return {field: text_of(name), f"{field}_bytes": base64.b64encode(raw(name)).decode("ascii")}
