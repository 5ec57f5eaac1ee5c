"""Paths of URLs in one form, so that what a flow writes and what a client sends are the same text.

Percent-escapes are decoded, but for `%2F` and `%25`: a slash in a part is never a separator.
"""

from __future__ import annotations

import re

from reactor.kit.charset import unquoted

_STRAY = re.compile(rb"%(?![0-9a-fA-F]{2})")
_KEPT = re.compile(rb"%(2[fF]|25)")


def plain_path(path: str) -> str:
    """Raises NotText for bytes that are not UTF-8. Bytes come as `surrogateescape`."""
    if "%" not in path and path.isascii():
        return path
    raw = _STRAY.sub(b"%25", path.encode("utf-8", "surrogateescape"))
    return unquoted(_KEPT.sub(lambda match: b"%25" + match[1].upper(), raw))


def part_value(part: str) -> str:
    """What a part of a plain path means: its `%2F` and `%25` decoded."""
    return part.replace("%2F", "/").replace("%25", "%") if "%" in part else part
