"""Text in the encoding that its sender declares."""

from __future__ import annotations

import codecs
import email.message

WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932",
    "x-sjis": "cp932", "sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "big5": "big5hkscs",
    "utf8": "utf-8",
}  # fmt: skip
"""What senders mean by a name (WHATWG Encoding): the standards that contain it."""
UNFIT = frozenset({"utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
"""Python's codecs that are no encoding of documents."""


def declared(content_type: str) -> str | None:
    """The `charset` of a Content-Type, as it stands there."""
    message = email.message.Message()
    message["Content-Type"] = content_type.encode("ascii", "replace").decode()
    found = message.get_param("charset")
    return found.strip() or None if isinstance(found, str) else None


def codec(name: str | None) -> str | None:
    """Python's name of a declared charset; None for one that is unknown."""
    if name is None:
        return None
    try:
        found = codecs.lookup(WIDER.get(name.strip().lower(), name.strip()))
    except (LookupError, ValueError):
        return None
    return found.name if found.name not in UNFIT and found._is_text_encoding else None


def text_of(data: bytes, charset: str | None) -> str | None:
    """The text without a byte order mark, as declared, else as UTF-8 (or UTF-16 by its mark); None when it is not that:
    its bytes are then kept."""
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    marked = next((name for mark, name in marks if data.startswith(mark)), None)
    for name in (marked, codec(charset), "utf-8"):
        if name is None:
            continue
        try:
            return data.decode(name).removeprefix("\ufeff")
        except (UnicodeError, ValueError):
            continue
    return None
