"""Bytes of files to text and values: as declared, without byte order mark, and with the place of what does not fit."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal

import msgspec

from plugins.actions._place import Place
from reactor.contracts.errors import StepFailed
from reactor.kit.charset import deeper_than

ENCODINGS = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "windows-1252", "iso-8859-15", "shift_jis", "gb18030"
]
MAX_ITEM = 16 * 1024 * 1024
"""Bytes of one item: a line, a value, an element, a document."""
MAX_DEPTH = 100
"""Levels of lists and objects within one another."""
CHUNK = 64 * 1024
_BOM = "\ufeff"


def content(message: str) -> StepFailed:
    """What a file holds is not what it should be."""
    return StepFailed("file.content", message, retryable=False)


def over(message: str) -> StepFailed:
    """What a file holds passes a declared bound."""
    return StepFailed("limit", message, retryable=False)


def as_utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StepFailed("expression", "the text has a character that is not valid Unicode", retryable=False) from None


def as_json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise StepFailed("expression", "the value has a character that is not valid Unicode", retryable=False) from None


class Text(io.TextIOWrapper):
    """A text as it is declared, without its byte order mark."""

    def __init__(self, file: BinaryIO, encoding: str, newline: str | None = "", errors: str = "strict") -> None:
        super().__init__(file, encoding=encoding, newline=newline, errors=errors)
        self._first: str | None = self.read(1)
        if self._first == _BOM:
            self._first = ""

    def line(self, most: int) -> str:
        """The next line with its end, up to so many characters; empty at the end."""
        first, self._first = self._first, None
        if not first:
            return self.readline(most)
        return first if first == "\n" else first + self.readline(most - 1)

    def take(self, count: int) -> str:
        """Up to so many characters; empty at the end."""
        first, self._first = self._first, None
        return first if first else self.read(count)


@contextmanager
def text_of(place: Place, encoding: str, newline: str | None = "") -> Iterator[Text]:
    """The file, open to be read as text. Raises StepFailed for a byte that does not fit the encoding."""
    with place.reading() as file:
        try:
            yield Text(file, encoding, newline)
        except UnicodeDecodeError as error:
            raise undecodable(place, encoding) or content(f"{place}: {error}") from None


def undecodable(place: Place, encoding: str) -> StepFailed | None:
    """The first byte of the file that does not fit, found by reading it again; None when all do."""
    decoder = codecs.getincrementaldecoder(encoding)()
    passed = 0
    with place.reading() as file:
        while True:
            pending = len(decoder.getstate()[0])
            part = file.read(CHUNK)
            try:
                decoder.decode(part, final=not part)
            except UnicodeDecodeError as error:
                return wrong_byte(place, encoding, error, passed - pending)
            passed += len(part)
            if not part:
                return None


def wrong_byte(place: Place, encoding: str, error: UnicodeDecodeError, before: int = 0) -> StepFailed:
    name = "UTF-8" if encoding == "utf-8" else encoding
    position = before + error.start
    byte = error.object[error.start] if error.start < len(error.object) else 0
    hint = ""
    if encoding == "utf-8" and position == 0 and error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        hint = "; the file begins like UTF-16: set `encoding: utf-16`"
    elif encoding == "utf-8":
        hint = "; set `encoding` if the file has another"
    return content(f"{place}: byte 0x{byte:02x} at position {position} is not {name}{hint}")


def text_of_bytes(place: Place, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise wrong_byte(place, encoding, error) from None


def json_value(where: str, data: str | bytes) -> object:
    """One value. Raises StepFailed: `file.content` for what is not JSON, `limit` for what is nested too deeply."""
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise too_deep(where) from None
    except UnicodeDecodeError as error:
        raise content(f"{where}: {error}") from None
    except msgspec.DecodeError as error:
        raise content(f"{where}: {error}") from None
    levels = data.count("[") + data.count("{") if isinstance(data, str) else data.count(b"[") + data.count(b"{")
    if levels > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise too_deep(where)
    return value


def too_deep(where: str) -> StepFailed:
    return over(f"{where}: lists and objects are nested more than {MAX_DEPTH} deep")


class Recoded:
    """A text as UTF-8, for parsers that read bytes."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        if size == 0:
            return b""
        wanted = size if size > 0 else CHUNK
        if not self._rest:
            self._rest = self._taken(wanted).encode("utf-8", "surrogatepass")
        part, self._rest = self._rest[:wanted], self._rest[wanted:]
        return part

    def _taken(self, wanted: int) -> str:
        return self._text.take(wanted)


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|(?P<lone>u[dD][c-fC-F])|(?P<other>[^uU]|u))"
)
_LONGEST_ESCAPE = 12


class JsonText(Recoded):
    """JSON for a parser that writes `?` for half a surrogate pair, and that keeps a long text in its own memory: both
    are refused here."""

    def __init__(self, text: Text, name: str, most: int) -> None:
        super().__init__(text)
        self._name, self._most = name, most
        self._open = ""
        """The end of what was read, where an escape may go on."""
        self.silent = 0
        """Characters since the parser told of anything; the reader sets it back."""

    def _taken(self, wanted: int) -> str:
        while True:
            part = super()._taken(wanted)
            self.silent += len(part)
            if self.silent > self._most:
                raise over(f"{self._name}: a text has more than {MAX_ITEM:,} characters")
            if "\\" not in part and not self._open:
                return part
            given = self._seen(self._open + part, not part)
            if given or not part:
                return given

    def _seen(self, text: str, ended: bool) -> str:
        """What is known to be whole; the rest waits in `_open`."""
        end = 0
        for found in _ESCAPE.finditer(text):
            if not ended and found.start() + _LONGEST_ESCAPE > len(text):
                end = found.start()
                break
            if found["low"] is None and found["other"] is None:
                raise content(f"{self._name}: {text[found.start() : found.start() + 6]} is half a surrogate pair")
            end = found.end()
        else:
            cut = text.find("\\", end)
            end = len(text) if ended or cut < 0 else cut
        self._open = text[end:]
        return text[:end]
