"""Archives: zip, tar, tar.gz and tar.xz, made, listed and unpacked within bounds."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar, Literal

import msgspec

from plugins.actions._items import content, errors, info
from plugins.actions._paths import resolve
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.durations import DurationError, parse_size
from reactor.contracts.errors import StepFailed

CHUNK = 1024 * 1024
MAX_MEMBERS = 100_000
Format = Literal["zip", "tar", "tar.gz", "tar.xz"]
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


def format_of(given: Format | None, path: Path) -> Format:
    if given is not None:
        return given
    for suffix, format in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return format
    raise StepFailed("expression", f"{path.name}: say `format` (zip, tar, tar.gz, tar.xz)", retryable=False)


class _Member:
    """A file in an archive."""

    def __init__(self, name: str, size: int, regular: bool, opened: Any) -> None:
        self.name, self.size, self.regular, self.opened = name, size, regular, opened


@contextmanager
def _members(path: Path, format: Format) -> Iterator[Iterator[_Member]]:
    """The files of an archive; folders are left out, links and devices are there with `regular` False."""
    try:
        if format == "zip":
            with zipfile.ZipFile(path) as archive:
                yield (
                    _Member(
                        one.filename,
                        one.file_size,
                        one.external_attr >> 28 not in (0xA,),
                        lambda o=one: archive.open(o),
                    )
                    for one in archive.infolist()
                    if not one.is_dir()
                )
        else:
            mode: Any = {"tar": "r:", "tar.gz": "r:gz", "tar.xz": "r:xz"}[format]
            with tarfile.open(path, mode) as tar:
                yield (
                    _Member(one.name, one.size, one.isreg(), lambda o=one: tar.extractfile(o))
                    for one in tar
                    if not one.isdir()
                )
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError) as error:
        raise content(f"{path}: {error}") from None


class List:
    name = "archive.list"
    summary = "Lists the files of an archive."
    repeat = "safe"
    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path",)
    reads: ClassVar[tuple[str, ...]] = ("path",)
    Options = ListOptions
    result_fields = ("files", "count", "size")
    example = "call: archive.list\nwith: {path: inbox/photos.zip}"

    async def run(self, options: ListOptions, context: ActionContext) -> Any:
        path = resolve(context, "path", options.path)

        def work(stop: Stop) -> Any:
            files = []
            with errors(path), _members(path, format_of(options.format, path)) as members:
                for member in members:
                    stop.look()
                    files.append({"name": member.name, "size": member.size})
                    if len(files) > MAX_MEMBERS:
                        raise StepFailed("limit", f"more than {MAX_MEMBERS:,} files", retryable=False)
            return {"files": files, "count": len(files), "size": sum(file["size"] for file in files)}

        return await in_thread(work)


class Extract:
    name = "archive.extract"
    summary = "Unpacks an archive; names that leave the folder, links and devices are refused."
    repeat = "safe"
    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path", "to")
    reads: ClassVar[tuple[str, ...]] = ("path",)
    Options = ExtractOptions
    result_fields = ("path", "files", "count", "size")
    example = "call: archive.extract\nwith: {path: inbox/photos.zip, to: photos/}"

    async def run(self, options: ExtractOptions, context: ActionContext) -> Any:
        path, to = resolve(context, "path", options.path), resolve(context, "to", options.to)
        try:
            room = parse_size(options.limit)
        except DurationError as error:
            raise StepFailed("expression", f"limit: {error}", retryable=False) from None
        format = format_of(options.format, path)
        return await in_thread(lambda stop: self._extract(path, to, format, room, options.files, stop))

    def _extract(self, path: Path, to: Path, format: Format, room: int, most: int, stop: Stop) -> Any:
        files: list[str] = []
        used = 0
        with errors(path), _members(path, format) as members:
            for member in members:
                target = to / safe_name(member.name)
                if not member.regular:
                    raise content(f"{path}: {member.name} is a link or a device")
                if len(files) == most:
                    raise StepFailed("limit", f"{path} has more than {most:,} files", retryable=False)
                used += self._write(member, target, to, room - used, stop)
                files.append(str(target))
        return {"path": str(to), "files": files, "count": len(files), "size": used}

    def _write(self, member: _Member, target: Path, root: Path, room: int, stop: Stop) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        if root.resolve() not in target.resolve().parents:
            raise content(f"{member.name} leaves the folder through a link")
        partial = target.with_name(f".{target.name[:100]}.partial")
        size = 0
        try:
            with member.opened() as source, partial.open("wb") as file:
                while part := source.read(CHUNK):
                    stop.look()
                    size += len(part)
                    if size > room:
                        raise StepFailed("limit", "the files have more than `limit`, unpacked", retryable=False)
                    file.write(part)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return size


def safe_name(name: str) -> Path:
    """A member's name as a relative path. Raises StepFailed for one that leaves the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or not parts or "\0" in name or ":" in parts[0]:
        raise content(f"the name {name!r} leaves the folder")
    return Path(*parts)


class Create:
    name = "archive.create"
    summary = "Packs a file or a folder into a zip or tar archive."
    repeat = "safe"
    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path", "to")
    Options = CreateOptions
    result_fields = ("path", "size", "modified", "count")
    example = "call: archive.create\nwith: {path: reports/, to: out/reports.zip}"

    async def run(self, options: CreateOptions, context: ActionContext) -> Any:
        path, to = resolve(context, "path", options.path), resolve(context, "to", options.to)
        if options.pattern.startswith("/") or ".." in Path(options.pattern).parts:
            raise StepFailed("file.path", "the pattern leaves the folder", retryable=False)
        format = format_of(options.format, to)
        return await in_thread(lambda stop: self._create(path, to, options.pattern, format, stop))

    def _create(self, path: Path, to: Path, glob: str, format: Format, stop: Stop) -> Any:
        with errors(path):
            path.stat()
            found = (
                sorted(p for p in path.glob(glob) if p.is_file() and not p.is_symlink()) if path.is_dir() else [path]
            )
            base = path if path.is_dir() else path.parent
            to.parent.mkdir(parents=True, exist_ok=True)
            partial = to.with_name(f".{to.name[:100]}.partial")
            try:
                with partial.open("wb") as file:
                    _pack(file, [p for p in found if p not in (to, partial)], base, format, stop)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(to)
            finally:
                partial.unlink(missing_ok=True)
            return {**info(to), "count": len([p for p in found if p not in (to, partial)])}


def _pack(file: IO[bytes], found: list[Path], base: Path, format: Format, stop: Stop) -> None:
    if format == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True, strict_timestamps=False) as archive:
            for path in found:
                entry = zipfile.ZipInfo.from_file(path, path.relative_to(base), strict_timestamps=False)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    while part := source.read(CHUNK):
                        stop.look()
                        target.write(part)
    else:
        mode: Any = {"tar": "w:", "tar.gz": "w:gz", "tar.xz": "w:xz"}[format]
        with tarfile.open(fileobj=file, mode=mode) as tar:
            for path in found:
                stop.look()
                tar.add(path, str(path.relative_to(base)), recursive=False)
