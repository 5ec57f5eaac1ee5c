"""Multipart bodies (RFC 7578): fields as data, files straight to disk."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser

from reactor.contracts.event import Upload
from reactor.contracts.text import named, not_utf8, raw, shown
from reactor.kit.charset import NotText, codec, decode_text, parameter, unquoted
from triggers.kit.bad_body import BadBody
from triggers.kit.body import add_field

MAX_PARTS = 1000
MAX_FILES = 100
MAX_PART_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024
MAX_NAME_BYTES = 255
CHUNK = 256 * 1024
_OPTION = re.compile(r';\s*([A-Za-z0-9!#$&+.^_`|~*-]+?)(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # what it says of a body is in the answer


class _Part:
    """One part as it comes in."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.header_bytes = 0
        self.name = ""
        self.filename: str | None = None
        self.data = bytearray()
        self.file: IO[bytes] | None = None
        self.hash = hashlib.sha256()
        self.size = 0


class Form:
    """Parses into `fields` (text parts, and files as objects) and `uploads`. `limit` bounds all text together."""

    def __init__(self, boundary: bytes, incoming: Path, limit: int) -> None:
        self.fields: dict[str, Any] = {}
        self.files: dict[str, Any] = {}
        self.uploads: list[Upload] = []
        self.shown: list[dict[str, Any]] = []
        self._incoming = incoming
        self._left = limit
        self._limit = limit
        self._parts = 0
        self._part = _Part()
        self._header = (bytearray(), bytearray())
        self._complete = False
        self._charset: str | None = None
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_begin": self._header_begin,
                "on_header_field": lambda data, start, end: self._header_data(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._header_data(1, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": lambda data, start, end: self._data(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def parse(self, path: Path) -> None:
        """Raises BadBody; what was written so far is removed then."""
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.parser.write(chunk)
            self.parser.finalize()
            if not self._complete:
                raise BadBody("the multipart body has no end")
        except (MultipartParseError, FormParserError) as error:
            self.discard()
            raise BadBody(f"the body is no multipart: {error}") from None
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes the files that came."""
        if self._part.file is not None:
            self._part.file.close()
            Path(self._part.file.name).unlink(missing_ok=True)
            self._part.file = None
        for upload in self.uploads:
            Path(upload.path).unlink(missing_ok=True)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadBody(f"the body has more than {MAX_PARTS:,} parts")
        self._part = _Part()

    def _header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def _header_data(self, place: int, data: bytes) -> None:
        self._part.header_bytes += len(data)
        if self._part.header_bytes > MAX_HEADER_BYTES:
            raise BadBody("the headers of a part are too large")
        self._header[place].extend(data)

    def _header_end(self) -> None:
        name, value = (bytes(part).decode("utf-8", "surrogateescape") for part in self._header)
        if len(self._part.headers) >= MAX_PART_HEADERS:
            raise BadBody(f"a part has more than {MAX_PART_HEADERS} headers")
        self._part.headers[name.lower()] = value

    def _headers_finished(self) -> None:
        part = self._part
        kind, options = disposition(part.headers.get("content-disposition", ""))
        name = options.get("name")
        if kind != "form-data" or not name:
            raise BadBody("a part is not form-data with a name")
        wrong = not_utf8(raw(name))
        if wrong is not None:
            raise BadBody(f"the name of the field {shown(name)}: {wrong}")
        part.name = name
        given = options.get("filename")
        if given is not None:
            part.filename = safe_file_name(given)
            if len(self.uploads) >= MAX_FILES:
                raise BadBody(f"the body has more than {MAX_FILES} files")
            self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.file = tempfile.NamedTemporaryFile(dir=self._incoming, delete=False)  # noqa: SIM115

    def _data(self, data: bytes) -> None:
        part = self._part
        if part.file is not None:
            part.file.write(data)
            part.hash.update(data)
            part.size += len(data)
            return
        self._left -= len(data)
        if self._left < 0:
            raise BadBody(f"the fields have more than {self._limit:,} bytes")
        part.data += data

    def _end(self) -> None:
        part = self._part
        if part.file is None:
            self._text(part)
            return
        part.file.flush()
        os.fsync(part.file.fileno())
        part.file.close()
        upload = Upload(part.file.name, part.hash.hexdigest(), part.size)
        part.file = None
        self.uploads.append(upload)
        item = {
            **named("name", part.filename or ""),
            "type": shown(part.headers.get("content-type", "application/octet-stream")),
            "size": upload.size,
            "sha256": upload.sha256,
        }
        self.shown.append(item)
        add_field(self.fields, part.name, item)
        add_field(self.files, part.name, item)

    def _text(self, part: _Part) -> None:
        """A field, in the charset of its part, else that of the field `_charset_` (RFC 7578, 4.6), else UTF-8."""
        charset = parameter(part.headers.get("content-type", ""), "charset") or self._charset
        try:
            value = decode_text(bytes(part.data), charset)
        except NotText as error:
            raise BadBody(f"the field {part.name}: {error}") from None
        if part.name == "_charset_" and codec(value) is not None:
            self._charset = value
        add_field(self.fields, part.name, value)

    def _finish(self) -> None:
        self._complete = True


def disposition(header: str) -> tuple[str, dict[str, str]]:
    """Kind and parameters of a Content-Disposition. Browsers write names in UTF-8 between quotes; `filename*`
    (RFC 8187) counts before `filename`. Bytes that are not UTF-8 stay as `surrogateescape`."""
    kind = header.partition(";")[0].strip().lower()
    found: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, star, quoted, plain in _OPTION.findall(header):
        value = re.sub(r'\\(["\\])', r"\1", quoted) if quoted else plain.strip()
        if star:
            decoded = _extended(value)
            if decoded is not None:
                extended.setdefault(name.lower(), decoded)
        else:
            found.setdefault(name.lower(), value)
    return kind, found | extended


def _extended(value: str) -> str | None:
    """`UTF-8''%e2%82%ac` as text; None for what is not written so, or not in its charset."""
    charset, _, rest = value.partition("'")
    _, quote, text = rest.partition("'")
    if not quote or codec(charset) is None:
        return None
    try:
        return unquoted(raw(text), charset)
    except NotText:
        return None


def safe_file_name(name: str) -> str:
    """The last part of what a sender calls its file, without control characters, at most 255 bytes long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(c for c in last if unicodedata.category(c) != "Cc")
    while len(raw(clean)) > MAX_NAME_BYTES:
        clean = clean[:-1]
    return clean if clean not in ("", ".", "..") else "file"


def boundary_of(content_type: str) -> bytes:
    """Raises BadBody."""
    boundary = (parameter(content_type, "boundary") or "").encode("utf-8", "replace")
    if not 1 <= len(boundary) <= 70:
        raise BadBody("the content type has no boundary of 1 to 70 characters")
    return boundary


@contextlib.contextmanager
def discarding(form: Form) -> Iterator[None]:
    """Removes the files of a form that are not taken over in the block."""
    try:
        yield
    finally:
        form.discard()
