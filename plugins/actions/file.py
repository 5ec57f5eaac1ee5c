"""Files: read, write (atomically), append, copy, move, delete, list."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import anyio
import msgspec

from plugins.actions._paths import resolve
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339

MAX_READ = 16 * 1024 * 1024
MAX_LISTED = 10_000


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    decode: str = "text"
    """text (UTF-8), json, or bytes (given as base64)."""


class WriteOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file; folders above it are made."""
    text: str | None = None
    """What it holds, as text,"""
    json: Any = msgspec.UNSET
    """or any value, written as JSON,"""
    bytes: str | None = None
    """or base64."""


class TwoPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """Where to; an existing file is replaced."""


class DeleteOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    missing_ok: bool = True
    """Whether a file that is not there is fine."""


class ListOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The folder."""
    pattern: str = "*"
    """A glob under it; `**` crosses folders."""


def failed(error: OSError, path: Path) -> StepFailed:
    """An operating system error as a step's: `file.not_found`, `file.exists`, `file.denied`, `file.full`, `file.io`."""
    kinds = {
        errno.ENOENT: "file.not_found",
        errno.EEXIST: "file.exists",
        errno.EACCES: "file.denied",
        errno.EPERM: "file.denied",
        errno.ENOSPC: "file.full",
        errno.EDQUOT: "file.full",
    }
    kind = kinds.get(error.errno or 0, "file.io")
    return StepFailed(kind, f"{path}: {error.strerror or error}", retryable=kind in ("file.full", "file.io"))


def _info(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": str(path),
        "name": path.name,
        "size": status.st_size,
        "modified": rfc3339(status.st_mtime),
    }


def content(options: WriteOptions) -> bytes:
    """The bytes to write. Raises StepFailed unless exactly one of text, json, bytes is given."""
    given = [options.text is not None, options.json is not msgspec.UNSET, options.bytes is not None]
    if sum(given) != 1:
        raise StepFailed("expression", "give exactly one of text, json and bytes")
    if options.text is not None:
        return options.text.encode()
    if options.bytes is not None:
        try:
            return base64.b64decode(options.bytes, validate=True)
        except (binascii.Error, ValueError):
            raise StepFailed("expression", "bytes is not base64") from None
    return msgspec.json.format(msgspec.json.encode(options.json), indent=2) + b"\n"


def write_atomically(path: Path, data: bytes) -> None:
    """Beside the target, synced, then renamed over it: readers see the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        os.chmod(name, mode)  # noqa: PTH101 - the temporary name is a string
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


class _FileAction:
    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path",)

    async def run(self, options: Any, context: ActionContext) -> Any:
        path = resolve(context, "path", options.path)
        try:
            return await anyio.to_thread.run_sync(self.act, path, options, context)
        except OSError as error:
            raise failed(error, path) from None

    def act(self, path: Path, options: Any, context: ActionContext) -> Any:
        raise StepFailed("file.io", "not an action by itself")


class Read(_FileAction):
    reads = ("path",)
    name = "file.read"
    summary = "Reads a file of up to 16 MiB."
    repeat = "safe"
    Options = ReadOptions
    result_fields = ("path", "name", "size", "modified", "content")
    example = "call: file.read\nwith:\n  path: data/in.json\n  decode: json"

    def act(self, path: Path, options: ReadOptions, context: ActionContext) -> Any:
        info = _info(path)
        if info["size"] > MAX_READ:
            raise StepFailed("limit", f"{path} has {info['size']:,} bytes; file.read takes up to 16 MiB")
        data = path.read_bytes()
        if options.decode == "bytes":
            return {**info, "content": base64.b64encode(data).decode()}
        try:
            text = data.decode("utf-8-sig")
            return {**info, "content": msgspec.json.decode(text) if options.decode == "json" else text}
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            raise StepFailed("file.content", f"{path} is not {options.decode}: {error}", retryable=False) from None


class Write(_FileAction):
    name = "file.write"
    summary = "Writes a file as a whole; readers see the old content or the new one, never a part."
    repeat = "safe"
    Options = WriteOptions
    result_fields = ("path", "name", "size", "modified")
    example = "call: file.write\nwith:\n  path: out/report.json\n  json: ${{ vars.report }}"

    def act(self, path: Path, options: WriteOptions, context: ActionContext) -> Any:
        write_atomically(path, content(options))
        return _info(path)


class Append(_FileAction):
    name = "file.append"
    summary = "Adds to the end of a file in one write."
    repeat = "keyed"
    Options = WriteOptions
    result_fields = ("path", "name", "size", "modified")
    example = 'call: file.append\nwith:\n  path: out/log.txt\n  text: "${{ event.id }}\\n"'

    def act(self, path: Path, options: WriteOptions, context: ActionContext) -> Any:
        data = content(options)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return _info(path)


class _TwoPathAction(_FileAction):
    paths: ClassVar[tuple[str, ...]] = ("path", "to")

    async def run(self, options: TwoPaths, context: ActionContext) -> Any:
        path, to = resolve(context, "path", options.path), resolve(context, "to", options.to)
        try:
            return await anyio.to_thread.run_sync(self.between, path, to)
        except OSError as error:
            raise failed(error, path) from None

    def between(self, path: Path, to: Path) -> Any:
        raise StepFailed("file.io", "not an action by itself")


class Copy(_TwoPathAction):
    reads = ("path",)
    name = "file.copy"
    summary = "Copies a file; the copy appears whole."
    repeat = "safe"
    Options = TwoPaths
    result_fields = ("path", "name", "size", "modified")
    example = "call: file.copy\nwith: {path: a.txt, to: backup/a.txt}"

    def between(self, path: Path, to: Path) -> Any:
        to.parent.mkdir(parents=True, exist_ok=True)
        partial = to.with_name(f".{to.name[:100]}.copy")
        try:
            shutil.copy2(path, partial)
            partial.replace(to)
        finally:
            partial.unlink(missing_ok=True)
        return _info(to)


class Move(_TwoPathAction):
    name = "file.move"
    summary = "Moves a file, across file systems too."
    repeat = "keyed"
    Options = TwoPaths
    result_fields = ("path", "name", "size", "modified")
    example = "call: file.move\nwith:\n  path: ${{ event.path }}\n  to: done/"

    def between(self, path: Path, to: Path) -> Any:
        if to.is_dir():
            to = to / path.name
        if not path.exists() and to.exists():
            return _info(to)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, to)
        return _info(to)


class Delete(_FileAction):
    name = "file.delete"
    summary = "Deletes a file."
    repeat = "safe"
    Options = DeleteOptions
    result_fields = ("path", "deleted")
    example = "call: file.delete\nwith: {path: tmp/a.txt}"

    def act(self, path: Path, options: DeleteOptions, context: ActionContext) -> Any:
        existed = path.exists()
        path.unlink(missing_ok=options.missing_ok)
        return {"path": str(path), "deleted": existed}


class List(_FileAction):
    name = "file.list"
    summary = "The files under a folder, in order of their paths; at most 10,000."
    repeat = "safe"
    Options = ListOptions
    result_fields = ("path", "files", "count")
    example = 'call: file.list\nwith: {path: inbox, pattern: "*.csv"}'

    def act(self, path: Path, options: ListOptions, context: ActionContext) -> Any:
        if not path.is_dir():
            raise StepFailed("file.not_found", f"{path} is no folder", retryable=False)
        if options.pattern.startswith("/") or ".." in Path(options.pattern).parts:
            raise StepFailed("file.path", "the pattern leaves the folder", retryable=False)
        found = sorted(p for p in path.glob(options.pattern) if p.is_file() and not p.is_symlink())
        if len(found) > MAX_LISTED:
            raise StepFailed("limit", f"{len(found):,} files; file.list gives up to {MAX_LISTED:,}")
        return {"path": str(path), "files": [_info(p) for p in found], "count": len(found)}
