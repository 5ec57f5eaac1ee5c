"""Files: read, write (atomically), append, copy, move, delete, list."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import stat
from typing import Any, ClassVar, TypeVar

import anyio
import msgspec

from plugins.actions._decode import ENCODINGS, as_json, as_utf8, json_value, text_of_bytes
from plugins.actions._listing import files_under, relative_glob
from plugins.actions._paths import OnePath, locate
from plugins.actions._place import Partial, Place, after, errors, writing
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.names import named

MAX_READ = 16 * 1024 * 1024
MAX_LISTED = 10_000
CHUNK = 1024 * 1024
FACTS = ("path", "path_bytes", "name", "name_bytes", "size", "modified")


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    decode: str = "text"
    """text, json, or bytes (given as base64)."""
    encoding: ENCODINGS = "utf-8"
    """How text and json are encoded."""


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
    """Where to; an existing file is replaced. Into the folder when it is one, or when the path ends with /."""


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


def content(options: WriteOptions) -> bytes:
    """The bytes to write. Raises StepFailed unless exactly one of text, json, bytes is given."""
    given = [options.text is not None, options.json is not msgspec.UNSET, options.bytes is not None]
    if sum(given) != 1:
        raise StepFailed("expression", "give exactly one of text, json and bytes")
    if options.text is not None:
        return as_utf8(options.text)
    if options.bytes is not None:
        try:
            return base64.b64decode(options.bytes, validate=True)
        except (binascii.Error, ValueError):
            raise StepFailed("expression", "bytes is not valid base64") from None
    return msgspec.json.format(as_json(options.json), indent=2) + b"\n"


File = TypeVar("File", bound=OnePath, contravariant=True)


class _FileAction(ActionKind[File]):
    path_options: ClassVar[tuple[str, ...]] = ("path",)
    long: ClassVar[bool] = False
    """Whether it looks for a cancellation on its way, which costs more to begin with."""

    async def run(self, options: File, context: ActionContext) -> object:
        place = locate(context, "path", options.path)

        def work(stop: Stop) -> object:
            with errors(place):
                return self.act(place, options, stop)

        return await in_thread(work) if self.long else await anyio.to_thread.run_sync(work, Stop())

    def act(self, place: Place, options: File, stop: Stop) -> object:
        raise NotImplementedError


class Read(_FileAction[ReadOptions]):
    reading_options = ("path",)
    name = "file.read"
    summary = "Reads a file of up to 16 MiB."
    repeat = "safe"
    Options = ReadOptions
    result_fields = (*FACTS, "content")
    example = "call: file.read\nwith:\n  path: data/in.json\n  decode: json"

    def act(self, place: Place, options: ReadOptions, stop: Stop) -> object:
        if options.decode not in ("text", "json", "bytes"):
            raise StepFailed("expression", "decode must be text, json or bytes", retryable=False)
        with place.reading() as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_READ + 1)
        if len(data) > MAX_READ:
            size = f"{max(status.st_size, len(data)):,}"
            raise StepFailed("limit", f"{place} has {size} bytes; file.read takes up to {MAX_READ:,}")
        return {**place.facts(status), "content": decoded(place, data, options)}


def decoded(place: Place, data: bytes, options: ReadOptions) -> object:
    if options.decode == "bytes":
        return base64.b64encode(data).decode()
    text = text_of_bytes(place, data, options.encoding)
    return json_value(str(place), text) if options.decode == "json" else text


class Write(_FileAction[WriteOptions]):
    name = "file.write"
    summary = "Writes a file as a whole; readers see the old content or the new one, never a part."
    repeat = "safe"
    Options = WriteOptions
    result_fields = FACTS
    example = "call: file.write\nwith:\n  path: out/report.json\n  json: ${{ vars.report }}"

    def act(self, place: Place, options: WriteOptions, stop: Stop) -> object:
        data = content(options)
        with writing(place) as partial:
            partial.file.write(data)
        return partial.result


class Append(_FileAction[WriteOptions]):
    name = "file.append"
    summary = "Adds to the end of a file in one write."
    repeat = "keyed"
    Options = WriteOptions
    result_fields = FACTS
    example = 'call: file.append\nwith:\n  path: out/log.txt\n  text: "${{ event.id }}\\n"'

    def act(self, place: Place, options: WriteOptions, stop: Stop) -> object:
        data = content(options)
        # a link at the end is refused also where the author wrote the whole path
        descriptor = place.open(os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, make=True)
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
            return place.facts(os.fstat(descriptor))
        except OSError as error:
            if written == 0:
                raise
            raise after(error, place, f"{written:,} of {len(data):,} bytes are in the file") from None
        finally:
            os.close(descriptor)


class _TwoPathAction(_FileAction[TwoPaths]):
    path_options = ("path", "to")

    async def run(self, options: TwoPaths, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)

        def work(stop: Stop) -> object:
            with errors(place):
                if options.to.endswith("/") or to.is_folder():
                    return self.between(place, to.child(place.name), stop)
                return self.between(place, to, stop)

        return await in_thread(work)

    def between(self, place: Place, to: Place, stop: Stop) -> object:
        raise NotImplementedError


def copied(place: Place, to: Place, stop: Stop) -> dict[str, object]:
    """The file as another, with its times and rights."""
    with place.reading() as source:
        status = os.fstat(source.fileno())
        partial = Partial(to)
        try:
            while part := source.read(CHUNK):
                stop.look()
                partial.file.write(part)
            os.fchmod(partial.file.fileno(), stat.S_IMODE(status.st_mode))
        except BaseException:
            partial.drop()
            raise
        return partial.put((status.st_atime_ns, status.st_mtime_ns))


class Copy(_TwoPathAction):
    reading_options = ("path",)
    name = "file.copy"
    summary = "Copies a file; the copy appears whole."
    repeat = "safe"
    Options = TwoPaths
    result_fields = FACTS
    example = "call: file.copy\nwith: {path: a.txt, to: backup/a.txt}"

    def between(self, place: Place, to: Place, stop: Stop) -> object:
        return copied(place, to, stop)


class Move(_TwoPathAction):
    name = "file.move"
    summary = "Moves a file, across file systems too."
    repeat = "keyed"
    Options = TwoPaths
    result_fields = FACTS
    example = "call: file.move\nwith:\n  path: ${{ event.path }}\n  to: done/"

    def between(self, place: Place, to: Place, stop: Stop) -> object:
        status, there = place.status(), to.status()
        if status is None:
            if there is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return to.facts(there)  # moved by the attempt before
        with place.above() as folder, to.above(make=True) as target:
            try:
                os.rename(place.name, to.name, src_dir_fd=folder, dst_dir_fd=target)
            except OSError as error:
                if error.errno != errno.EXDEV or not stat.S_ISREG(status.st_mode):
                    raise
            else:
                return to.facts(status)
            result = copied(place, to, stop)
            try:
                os.unlink(place.name, dir_fd=folder)
            except OSError as error:
                raise after(error, place, f"it is at {to} now, but stays here too") from None
            return result


class Delete(_FileAction[DeleteOptions]):
    name = "file.delete"
    summary = "Deletes a file."
    repeat = "safe"
    Options = DeleteOptions
    result_fields = ("path", "path_bytes", "deleted")
    example = "call: file.delete\nwith: {path: tmp/a.txt}"

    def act(self, place: Place, options: DeleteOptions, stop: Stop) -> object:
        existed = True
        try:
            place.remove()
        except FileNotFoundError:
            if not options.missing_ok:
                raise
            existed = False
        return {**named("path", str(place.path)), "deleted": existed}


class List(_FileAction[ListOptions]):
    long = True
    name = "file.list"
    summary = "The files under a folder, in order of their paths; at most 10,000."
    repeat = "safe"
    Options = ListOptions
    result_fields = ("path", "path_bytes", "files", "count")
    example = 'call: file.list\nwith: {path: inbox, pattern: "*.csv"}'

    def act(self, place: Place, options: ListOptions, stop: Stop) -> object:
        relative_glob(options.pattern)
        if not place.is_folder():
            raise StepFailed("file.not_found", f"{place} is not a folder", retryable=False)
        found = files_under(place, options.pattern, MAX_LISTED, stop.look)
        files = [one.facts(status) for one, status in found]
        return {**named("path", str(place.path)), "files": files, "count": len(files)}
