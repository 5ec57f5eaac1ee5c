"""The files in an archive, read within bounds: no header, index or dictionary may cost more than is declared."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Literal

from plugins.actions._decode import content, over
from plugins.actions._place import Place
from reactor.contracts.text import not_utf8

Format = Literal["zip", "tar", "tar.gz", "tar.xz"]

MAX_MEMBERS = 100_000
"""Files and folders of an archive."""
MAX_INDEX = 16 * 1024 * 1024
"""Bytes of the index of a zip."""
MAX_NAME = 1024 * 1024
"""Bytes of a long name, and of other headers, in a tar; files are read in pieces of this size too."""
MAX_DICTIONARY = 128 * 1024 * 1024
"""Memory that unpacking xz may take."""
MAX_RATIO = 1000
FREE_SIZE = 1024 * 1024 * 1024
"""A compressed tar is read up to so many bytes, or MAX_RATIO times its own size if that is more."""
CHUNK = 64 * 1024
_UTF8 = 0x800
_UNIX = 3
MEMBER_HEADER = 30
"""Bytes in front of the name of a member of a zip,"""
INDEX_ENTRY = 46
"""and of its entry in the index."""


class Member:
    """A file in an archive; `name` as the operating system spells names."""

    def __init__(self, name: str, size: int, regular: bool, opened: Callable[[], IO[bytes] | None]) -> None:
        self.name, self.size, self.regular, self.opened = name, size, regular, opened


class _Careful(io.RawIOBase):
    """A file that refuses to read much at once, and, with `most`, much at all."""

    def __init__(self, source: BinaryIO, what: str, at_once: int, most: int | None = None) -> None:
        self._source, self._what, self._at_once, self._most = source, what, at_once, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._source.tell())

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if self._most is not None and whence == os.SEEK_SET and offset > self._most:
            raise self._over()
        return int(self._source.seek(offset, whence))

    def read(self, size: int = -1, /) -> bytes:
        if size > self._at_once or size < 0:
            left = self._source.read(self._at_once + 1)
            if len(left) > self._at_once:
                raise over(f"{self._what}: a name or the index has more than {self._at_once:,} bytes")
            return bytes(left)
        if self._most is not None and self._source.tell() + size > self._most:
            raise self._over()
        return bytes(self._source.read(size))

    def _over(self) -> Exception:
        return over(f"{self._what}: unpacked it has more than {self._most:,} bytes")


class _ZipSource(_Careful):
    """Unmarks names that are marked as UTF-8 and are not, at which the library would give up: they are bytes that a
    Unix program wrote."""

    def __init__(self, source: BinaryIO, what: str) -> None:
        super().__init__(source, what, MAX_INDEX)
        self.opening = True
        self._unmarked: set[int] = set()
        """Where the members with such names begin."""

    def read(self, size: int = -1, /) -> bytes:
        place = self.tell()
        data = super().read(size)
        if self.opening and data.startswith(b"PK\1\2"):
            return self._index(bytearray(data))
        if place in self._unmarked and size == MEMBER_HEADER:
            head = bytearray(data)
            _unmark(head, 6)
            return bytes(head)
        return data

    def _index(self, index: bytearray) -> bytes:
        place = 0
        while index[place : place + 4] == b"PK\1\2" and place + INDEX_ENTRY <= len(index):
            length, extra, comment = (_number(index, place + at, 2) for at in (28, 30, 32))
            name = bytes(index[place + INDEX_ENTRY : place + INDEX_ENTRY + length])
            if _number(index, place + 8, 2) & _UTF8 and not_utf8(name):
                index[place + 5] = _UNIX
                _unmark(index, place + 8)
                self._unmarked.add(_number(index, place + 42, 4))
            place += INDEX_ENTRY + length + extra + comment
        return bytes(index)


def _number(data: bytearray, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _unmark(data: bytearray, place: int) -> None:
    data[place : place + 2] = (_number(data, place, 2) & ~_UTF8).to_bytes(2, "little")


class _Xz(io.RawIOBase):
    """The content of an xz file, forward only, with bounded memory."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = self._new()
        self._rest = b""
        self._place = 0

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=MAX_DICTIONARY)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET or offset < self._place:
            raise io.UnsupportedOperation("xz is read forward only")
        while self._place < offset and self.read(min(offset - self._place, CHUNK)):
            pass
        return self._place

    def read(self, size: int = -1, /) -> bytes:
        parts: list[bytes] = []
        while size > 0 and (part := self._piece(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _piece(self, size: int) -> bytes:
        while True:
            if self._decoder.eof:
                after = self._decoder.unused_data.lstrip(b"\0") or self._source.read(CHUNK).lstrip(b"\0")
                if not after:
                    return b""
                self._decoder, given = self._new(), after
            elif self._decoder.needs_input:
                given = self._source.read(CHUNK)
                if not given:
                    raise EOFError("the xz file is cut off")
            else:
                given = b""
            part = self._decoder.decompress(given, size)
            if part:
                self._place += len(part)
                return part


@contextmanager
def members(place: Place, format: Format) -> Iterator[Iterator[Member]]:
    """The files of an archive; folders are left out, links and devices are there with `regular` False."""
    try:
        with place.reading() as file:
            yield _zip(file, str(place)) if format == "zip" else _tar(file, format, str(place))
    except (
        zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError,
        NotImplementedError, RuntimeError, ValueError, io.UnsupportedOperation,
    ) as error:  # fmt: skip
        raise content(f"{place}: {error}") from None


def _zip(file: BinaryIO, name: str) -> Iterator[Member]:
    source = _ZipSource(file, name)
    with zipfile.ZipFile(source) as archive:
        source.opening = False
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise over(f"{name}: more than {MAX_MEMBERS:,} files")
        for one in entries:
            if one.is_dir():
                continue
            if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
                raise content(
                    f"{name}: {one.filename} is compressed with the method {one.compress_type}, not read here"
                )
            kind = one.external_attr >> 28
            yield Member(_zip_name(one), one.file_size, kind in (0, 8), lambda o=one: archive.open(o))  # type: ignore[misc]


def _zip_name(one: zipfile.ZipInfo) -> str:
    """A name without the UTF-8 flag is code page 437 by the standard, but Unix programs write the bytes as they are."""
    if one.flag_bits & _UTF8 or one.create_system != _UNIX:
        return one.filename
    return one.filename.encode("cp437").decode("utf-8", "surrogateescape")


def _tar(file: BinaryIO, format: Format, name: str) -> Iterator[Member]:
    most = None
    source: Any = file
    if format != "tar":
        most = max(FREE_SIZE, MAX_RATIO * os.fstat(file.fileno()).st_size)
        source = gzip.GzipFile(fileobj=file) if format == "tar.gz" else _Xz(file)
    careful = _Careful(source, name, MAX_NAME, most)
    with tarfile.open(fileobj=careful, mode="r:", encoding="utf-8", tarinfo=_Entry) as tar:
        count = 0
        while (one := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # they would all be kept
            count += 1
            if count > MAX_MEMBERS:
                raise over(f"{name}: more than {MAX_MEMBERS:,} files")
            if not one.isdir():
                yield Member(one.name, one.size, one.isreg(), lambda o=one: tar.extractfile(o))  # type: ignore[misc]
    while format != "tar" and careful.read(CHUNK):
        pass  # the check sum stands at the end


class _Entry(tarfile.TarInfo):
    """A damaged header is an error; the library takes it for the end unless it is the first."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Entry:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EmptyHeaderError", "EOFHeaderError"):
                raise
            raise tarfile.ReadError(f"damaged: {error}") from None
