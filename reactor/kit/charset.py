"""Bodies of foreign senders as text and JSON: by the charset that they declare, else UTF-8, without byte order mark.

What cannot be decoded is refused with the first bad byte and its place, never replaced.
"""

from __future__ import annotations

import codecs
import functools
import re
import urllib.parse
from typing import Any

import msgspec

from reactor.contracts.text import not_utf8, without_bom

MAX_DEPTH = 256
"""How deep lists and objects of JSON may be nested: what reads them later recurses."""
TOO_DEEP = f"the JSON is nested deeper than {MAX_DEPTH} levels"

_TEXT = frozenset(
    {
        "ascii", "big5", "big5hkscs", "cp437", "cp850", "cp852", "cp855", "cp866", "cp874", "cp932", "cp949",
        "cp950", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
        "euc_jis_2004", "euc_jisx0213", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk", "hp-roman8", "hz",
        "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_3", "iso2022_jp_ext",
        "iso2022_kr", "iso8859-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7",
        "iso8859-8", "iso8859-9", "iso8859-10", "iso8859-11", "iso8859-13", "iso8859-14", "iso8859-15",
        "iso8859-16", "johab", "koi8-r", "koi8-t", "koi8-u", "kz1048", "mac-cyrillic", "mac-greek", "mac-latin2",
        "mac-roman", "mac-turkish", "ptcp154", "shift_jis", "shift_jis_2004", "shift_jisx0213", "tis-620", "utf-8",
        "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le",
    }
)  # fmt: skip
"""Python's names of charsets that senders use. Its other codecs are not for texts of strangers (`idna`, `utf-7`, …)."""
_MEANT = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932",
    "x-sjis": "cp932", "sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "big5": "big5hkscs",
}  # fmt: skip
"""What senders mean by a name (WHATWG Encoding): the standard that contains it."""
_WIDE = ("utf-16", "utf-32")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|\'[^\']*\'|[^;]*)')
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(rb"%[0-9a-fA-F]{2}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class NotText(ValueError):
    """The bytes are not what they should be; the text says which byte, or why."""


def parameter(value: str, name: str) -> str | None:
    """A parameter of a header such as Content-Type, without its quotes; None where it is not given."""
    if ";" not in value:
        return None
    for match in _PARAMETER.finditer(value):
        if match[1].lower() == name:
            given = match[2].strip()
            if len(given) >= 2 and given[0] == given[-1] == '"':
                return re.sub(r"\\(.)", r"\1", given[1:-1])
            return given.strip("'")
    return None


@functools.lru_cache(64)
def codec(charset: str) -> str | None:
    """Python's name of a charset; None for one that is not known, or not meant for text."""
    try:
        name = codecs.lookup(_MEANT.get(charset.strip().lower(), charset.strip())).name
    except (LookupError, ValueError):
        return None
    return name if name in _TEXT else None


def keeps_ascii(charset: str) -> bool:
    """Whether the charset is known and writes ASCII as ASCII, as the fields of forms need it."""
    name = codec(charset)
    return name is not None and not name.startswith(_WIDE)


def known(charset: str | None) -> str:
    """Python's name of the declared charset, UTF-8 where none is declared. Raises NotText."""
    name = "utf-8" if charset is None else codec(charset)
    if name is None:
        raise NotText(f"the charset {charset[:40] if charset else charset!r} is not known")
    return name


def bad_byte(error: UnicodeDecodeError, charset: str | None, position: int | None = None) -> str:
    """Which byte cannot be read: "byte 0xe9 at position 5 is not UTF-8"."""
    where = error.start if position is None else position
    label = "UTF-8" if charset is None or codec(charset) == "utf-8" else charset
    return f"byte 0x{error.object[error.start]:02x} at position {where} is not {label}"


def decode_text(raw: bytes, charset: str | None = None) -> str:
    """Raises NotText."""
    name = known(charset)
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as error:
        raise NotText(bad_byte(error, charset)) from None
    return text.removeprefix("\ufeff")


def text_or_none(data: bytes, charset: str | None) -> str | None:
    """The text of an answer that is kept as bytes when it is not text: by its byte order mark, else as declared, else
    as UTF-8; None when it is none of these."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    for name in (marked, codec(charset) if charset else None, "utf-8"):
        if name is not None:
            try:
                return data.decode(name).removeprefix("\ufeff")
            except (UnicodeError, ValueError):
                continue
    return None


def decode_json(raw: bytes, charset: str | None = None) -> Any:
    """Raises NotText."""
    if charset is not None:
        return _checked_json(raw, charset)
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _checked_json(raw, None)
    if len(raw) > 2 * MAX_DEPTH:
        _check_depth(raw, value)
    return value


def _checked_json(raw: bytes, charset: str | None) -> Any:
    """The same for what is not plain UTF-8, or not JSON: with the reason."""
    wide = known(charset) not in ("utf-8", "ascii")
    plain = decode_text(raw, charset).encode("utf-8", "surrogatepass") if wide else without_bom(raw)
    try:
        value = msgspec.json.decode(plain)
    except RecursionError:
        raise NotText(TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotText((None if wide else not_utf8(raw)) or _why(plain, error)) from None
    _check_depth(plain, value)
    return value


def _check_depth(raw: bytes, value: Any) -> None:
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise NotText(TOO_DEEP)


def _why(raw: bytes, error: Exception) -> str:
    half = _HALF.search(_PAIR.sub(b"", raw))
    if half is not None:
        return f"the escape {half[0].decode()} is half of a surrogate pair, which is not a character"
    return str(error)


def deeper_than(value: Any, most: int) -> bool:
    """Whether lists and objects stand in one another more than so many levels deep."""
    level = [value]
    for _ in range(most):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(inner for inner in one.values() if isinstance(inner, dict | list))
            elif isinstance(one, list):
                below.extend(inner for inner in one if isinstance(inner, dict | list))
        if not below:
            return False
        level = below
    return True


def unquoted(raw: bytes, charset: str | None = None, at: int = 0) -> str:
    """Percent-escapes decoded. Raises NotText with the place where the bad byte stands; `at` is the place of `raw`."""
    data = urllib.parse.unquote_to_bytes(raw)
    try:
        return data.decode(known(charset))
    except UnicodeDecodeError as error:
        raise NotText(bad_byte(error, charset, at + _sent(raw, error.start))) from None


def _sent(raw: bytes, index: int) -> int:
    """Where the byte `index` of the unquoted text stands in the text as it was sent."""
    before = 0
    for match in _ESCAPE.finditer(raw):
        if match.start() - 2 * before >= index:
            break
        before += 1
    return index + 2 * before
