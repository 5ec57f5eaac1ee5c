"""Archives: zip, tar, tar.gz and tar.xz, made, listed and unpacked within bounds."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import msgspec

from plugins.actions._decode import content, over
from plugins.actions._listing import Found, files_under, relative_glob
from plugins.actions._members import MAX_MEMBERS, Format, Member, members
from plugins.actions._paths import locate
from plugins.actions._place import Place, errors, writing
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.names import named, text_of
from reactor.contracts.text import is_text, raw
from reactor.kit.durations import DurationError, parse_size

CHUNK = 1024 * 1024
SUFFIXES: tuple[tuple[str, Format], ...] = (
    (".zip", "zip"), (".tar.gz", "tar.gz"), (".tgz", "tar.gz"), (".tar.xz", "tar.xz"), (".tar", "tar"),
)  # fmt: skip


class CreateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file or folder to pack."""
    to: str
    """The archive; it appears whole."""
    pattern: str = "**/*"
    """Which files of the folder; a glob."""
    format: Format | None = None
    """By the name of `to` unless given."""


class ExtractOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The archive."""
    to: str
    """The folder to unpack into."""
    limit: str = "1GiB"
    """The most that all files may have, unpacked."""
    files: int = 10_000
    """The most files."""
    format: Format | None = None
    """By the name of the archive unless given."""


class ListOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The archive."""
    format: Format | None = None
    """By the name of the archive unless given."""


def format_of(given: Format | None, place: Place) -> Format:
    if given is not None:
        return given
    for suffix, format in SUFFIXES:
        if place.name.lower().endswith(suffix):
            return format
    raise StepFailed("expression", f"{place}: say `format` (zip, tar, tar.gz, tar.xz)", retryable=False)


class List(ActionKind[ListOptions]):
    name = "archive.list"
    summary = "Lists the files of an archive."
    repeat = "safe"
    path_options = ("path",)
    reading_options = ("path",)
    Options = ListOptions
    result_fields = ("files", "count", "size")
    example = "call: archive.list\nwith: {path: inbox/photos.zip}"

    async def run(self, options: ListOptions, context: ActionContext) -> object:
        place = locate(context, "path", options.path)
        format = format_of(options.format, place)

        def work(stop: Stop) -> object:
            files: list[dict[str, object]] = []
            size = 0
            with errors(place), members(place, format) as found:
                for member in found:
                    stop.look()
                    files.append({**named("name", member.name), "size": member.size})
                    size += member.size
            return {"files": files, "count": len(files), "size": size}

        return await in_thread(work)


class Extract(ActionKind[ExtractOptions]):
    name = "archive.extract"
    summary = "Unpacks an archive; names that leave the folder, links and devices are refused."
    repeat = "safe"
    path_options = ("path", "to")
    reading_options = ("path",)
    Options = ExtractOptions
    result_fields = ("path", "path_bytes", "files", "count", "size")
    example = "call: archive.extract\nwith: {path: inbox/photos.zip, to: photos/}"

    async def run(self, options: ExtractOptions, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)
        try:
            room = parse_size(options.limit)
        except DurationError as error:
            raise StepFailed("expression", f"limit: {error}", retryable=False) from None
        format = format_of(options.format, place)
        return await in_thread(lambda stop: self._extract(place, to, format, room, options.files, stop))

    def _extract(self, place: Place, to: Place, format: Format, room: int, most: int, stop: Stop) -> object:
        files: list[str] = []
        used = 0
        with errors(place), members(place, format) as found:
            for member in found:
                parts = safe_name(member.name)
                if not member.regular:
                    raise content(f"{place}: {text_of(member.name)} is a link or a device")
                if len(files) == most:
                    raise over(f"{place} has more than {most:,} files")
                try:
                    target = to.child(*parts)
                    with errors(target):
                        used += self._write(member, target, room - used, stop)
                except StepFailed as error:
                    if error.type != "file.path":
                        raise
                    raise content(f"{place}: {text_of(member.name)[:100]}: {error}") from None
                files.append(str(target))
        return {**named("path", str(to.path)), "files": files, "count": len(files), "size": used}

    def _write(self, member: Member, target: Place, room: int, stop: Stop) -> int:
        size = 0
        with writing(target) as partial:
            source = member.opened()
            assert source is not None
            with source:
                while part := source.read(CHUNK):
                    stop.look()
                    size += len(part)
                    if size > room:
                        raise over("the files have more than `limit`, unpacked")
                    partial.file.write(part)
        return size


def safe_name(name: str) -> tuple[str, ...]:
    """A member's name as the parts of a relative path. Raises StepFailed for one that leaves the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = tuple(part for part in path.parts if part != ".")
    if path.is_absolute() or ".." in parts or not parts or "\0" in name or ":" in parts[0]:
        raise content(f"the name {text_of(name)!r} leaves the folder")
    return parts


class Create(ActionKind[CreateOptions]):
    name = "archive.create"
    summary = "Packs a file or a folder into a zip or tar archive."
    repeat = "safe"
    path_options = ("path", "to")
    Options = CreateOptions
    result_fields = ("path", "path_bytes", "name", "name_bytes", "size", "modified", "count")
    example = "call: archive.create\nwith: {path: reports/, to: out/reports.zip}"

    async def run(self, options: CreateOptions, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)
        relative_glob(options.pattern)
        format = format_of(options.format, to)
        return await in_thread(lambda stop: self._create(place, to, options.pattern, format, stop))

    def _create(self, place: Place, to: Place, glob: str, format: Format, stop: Stop) -> object:
        with errors(place):
            if place.is_folder():
                found = files_under(place, glob, MAX_MEMBERS, stop.look)
                base = len(place.path.parts)
            else:
                with place.reading() as file:
                    found = [(place, os.fstat(file.fileno()))]
                base = len(place.path.parts) - 1
            found = [(one, status) for one, status in found if one != to]
            with writing(to) as partial:
                pack = _pack_zip if format == "zip" else _pack_tar
                pack(partial.file, found, base, format, stop)
            return {**partial.result, "count": len(found)}


def _inner_name(place: Place, base: int) -> str:
    return "/".join(place.path.parts[base:])


class _ZipInfo(zipfile.ZipInfo):
    """Writes a name that is not UTF-8 as its bytes, as Unix programs do."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        if is_text(self.filename):
            return self.filename.encode("utf-8"), self.flag_bits | (0 if self.filename.isascii() else 0x800)
        return raw(self.filename), self.flag_bits & ~0x800


def _pack_zip(file: BinaryIO, found: list[Found], base: int, format: Format, stop: Stop) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True, strict_timestamps=False) as archive:
        for place, status in found:
            when = time.localtime(status.st_mtime)
            stamp = min(max(when[:6], (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 59))
            entry = _ZipInfo(_inner_name(place, base), stamp)
            entry.external_attr = (status.st_mode & 0xFFFF) << 16
            entry.file_size = status.st_size
            entry.compress_type = zipfile.ZIP_DEFLATED
            with place.reading() as source, archive.open(entry, "w", force_zip64=True) as target:
                while part := source.read(CHUNK):
                    stop.look()
                    target.write(part)


def _pack_tar(file: BinaryIO, found: list[Found], base: int, format: Format, stop: Stop) -> None:
    mode: Any = {"tar": "w:", "tar.gz": "w:gz", "tar.xz": "w:xz"}[format]
    with tarfile.open(fileobj=file, mode=mode, encoding="utf-8") as tar:
        for place, _ in found:
            with place.reading() as source:
                status = os.fstat(source.fileno())
                entry = tarfile.TarInfo(_inner_name(place, base))
                entry.size, entry.mtime = status.st_size, int(status.st_mtime)
                entry.mode = stat.S_IMODE(status.st_mode)
                tar.addfile(entry, _Looking(source, stop))


class _Looking(io.RawIOBase):
    """Reads on while somebody waits for the result."""

    def __init__(self, source: BinaryIO, stop: Stop) -> None:
        self._source, self._stop = source, stop

    def read(self, size: int = -1, /) -> bytes:
        self._stop.look()
        return self._source.read(size)
