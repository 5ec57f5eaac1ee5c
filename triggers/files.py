"""Files that appear, change, go or move.

The ledger (one item a file in the store, committed with the event) is what a restart compares the directory with,
so that it neither misses nor repeats a file. Kernel notifications only say when to look.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

import anyio
import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.names import name_of, named, text_of
from reactor.contracts.text import is_text
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from reactor.kit.globs import compile_glob, literal_root
from triggers.kit.faults import not_connected
from triggers.kit.watch import Bell, notice

Change = Literal["created", "modified", "deleted", "moved"]
MAX_FILES = 200_000


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """A glob, relative to the flow's folder; `**` crosses folders."""
    events: list[Change] = msgspec.field(default_factory=lambda: ["created", "modified"])
    """Which changes start the flow."""
    settle: str = "2s"
    """A file counts once its size and time have not changed for so long."""
    poll: str = "5s"
    """How often the folder is looked at where the kernel gives no notice (and as a safety net)."""
    existing: bool = True
    """Whether files that are there at the very first start count as created."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file as the ledger has it."""

    size: int
    modified: int
    inode: int


class Files(TriggerKind[Options]):
    name = "files"
    summary = "Files that appear, change, go or move."
    example = 'files: "inbox/*.csv"'
    event_type = "file.created"
    identity = True
    event_fields = ("path", "path_bytes", "name", "name_bytes", "size", "modified", "from", "from_bytes")
    path_options = ("path",)
    one_reader = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        return {"path": text}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        for field in ("settle", "poll"):
            try:
                parse_duration(getattr(options, field))
            except DurationError as error:
                found.append((field, str(error)))
        if not found and parse_duration(options.poll) < 0.1:
            found.append(("poll", "the shortest poll is 100ms"))
        if not options.path or "\0" in options.path:
            found.append(("path", "the path is missing"))
        elif not is_text(options.path):
            found.append(("path", "the path has a character that is not valid Unicode"))
        if not options.events:
            found.append(("events", "no change would ever start the flow"))
        return found

    async def listen(self, ctx: TriggerContext) -> None:
        try:
            await _Watch(ctx, self.options).run()
        except* NotConnected as errors:
            raise not_connected("files", errors) from None


class _Watch:
    def __init__(self, ctx: TriggerContext, options: Options) -> None:
        self._ctx = ctx
        self._options = options
        pattern = name_of(str(Path(ctx.folder, options.path).absolute()))
        self._root = literal_root(pattern)
        self._matches = compile_glob(pattern)
        self._settle = parse_duration(options.settle)
        self._poll = parse_duration(options.poll)
        self._ledger: dict[str, Seen] = {}
        self._unsettled: dict[str, tuple[Seen, float]] = {}
        self._unread: dict[str, str] = {}
        """Folders and files that could not be looked at, and why: nothing is known of what is there."""
        self._unnoticed: str | None = None

    async def run(self) -> None:
        if not await anyio.to_thread.run_sync(os.path.isdir, self._root):
            raise NotConnected(f"the folder {text_of(self._root)} does not exist")
        stored = await self._ctx.cursor()
        first = "" not in stored
        self._ledger = {name_of(name): msgspec.convert(value, Seen) for name, value in stored.items() if name}
        if first:
            if not self._options.existing:
                found = await anyio.to_thread.run_sync(self._scan)
                await self._ctx.move({text_of(name): msgspec.to_builtins(seen) for name, seen in found.items()})
                self._ledger = found
            await self._ctx.move({"": True})
        async with anyio.create_task_group() as group:
            wake, stop = Bell(), anyio.Event()
            group.start_soon(notice, self._root, wake, stop, 200, self._told)
            await self._ctx.ready()
            try:
                while True:
                    wake.clear()
                    pause = await self._look()
                    with anyio.move_on_after(pause):
                        await wake.wait()
                    if not await anyio.to_thread.run_sync(os.path.isdir, self._root):
                        raise NotConnected(f"the folder {text_of(self._root)} is gone")
            finally:
                stop.set()  # the watcher's thread looks at this; cancellation alone would wait for its time-out

    def _told(self, reason: str | None) -> None:
        """Polling alone goes on for this reason."""
        every = self._options.poll
        self._unnoticed = None if reason is None else f"no notices of changes, so a look each {every}: {reason}"

    def _scan(self) -> dict[str, Seen]:
        """All matching regular files. Links are not followed out of the folder. What cannot be read is not gone."""
        found: dict[str, Seen] = {}
        self._unread = {}
        stack = [self._root]
        while stack:
            folder = stack.pop()
            try:
                entries = list(os.scandir(folder))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if folder == self._root:
                    raise NotConnected(f"the folder {text_of(folder)} cannot be read: {error.strerror}") from None
                self._unread[folder + os.sep] = error.strerror or "unknown"
                continue
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                        continue
                    if not self._matches(entry.path):
                        continue
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._unread[entry.path] = error.strerror or "unknown"
                    continue
                if stat.S_ISREG(info.st_mode):
                    found[entry.path] = Seen(info.st_size, info.st_mtime_ns, info.st_ino)
                    if len(found) > MAX_FILES:
                        raise NotConnected(f"more than {MAX_FILES:,} files match {self._options.path}")
        return found

    async def _look(self) -> float:
        """Compares the folder with the ledger and emits what settled; seconds until the next look."""
        found = await anyio.to_thread.run_sync(self._scan)
        now = self._ctx.clock.monotonic()
        unread = tuple(self._unread)
        gone = {n: seen for n, seen in self._ledger.items() if n not in found and not n.startswith(unread)}
        unseen = next((f"{text_of(name)} cannot be read: {why}" for name, why in self._unread.items()), None)
        self._ctx.warn(unseen or self._unnoticed)
        by_inode = {(seen.inode, seen.size): name for name, seen in gone.items()}
        soonest = self._poll
        for name, seen in sorted(found.items(), key=lambda item: (item[1].modified, item[0])):
            known = self._ledger.get(name)
            if known == seen:
                self._unsettled.pop(name, None)
                continue
            before = by_inode.pop((seen.inode, seen.size), None) if known is None else None
            if before is not None and gone[before].modified == seen.modified:
                del gone[before]
                await self._emit("moved", name, seen, before)
                continue
            waiting = self._unsettled.get(name)
            if waiting is None or waiting[0] != seen:
                age = max(self._ctx.clock.now() - seen.modified / 1e9, 0.0)
                waiting = self._unsettled[name] = (seen, now - min(age, self._settle))
            left = waiting[1] + self._settle - now
            if left > 0:
                soonest = min(soonest, left + 0.001)
                continue
            del self._unsettled[name]
            await self._emit("created" if known is None else "modified", name, seen, None)
        for name in sorted(gone):
            await self._emit("deleted", name, gone[name], None)
        self._unsettled = {name: value for name, value in self._unsettled.items() if name in found}
        return soonest

    async def _emit(self, change: Change, name: str, seen: Seen, before: str | None) -> None:
        cursors = [self._ctx.at(text_of(name), None if change == "deleted" else msgspec.to_builtins(seen))]
        if before is not None:
            cursors.append(self._ctx.at(text_of(before), None))
        if change in self._options.events:
            event = Event(
                type=f"file.{change}",
                source=text_of(self._root),
                subject=text_of(name),
                fields={
                    **named("path", name),
                    **named("name", os.path.basename(name)),  # noqa: PTH119 - a string in, a string out
                    "size": seen.size,
                    "modified": rfc3339(seen.modified / 1e9),
                    **(named("from", before) if before is not None else {"from": None}),
                },
            )
            await self._ctx.emit(event, cursors=cursors)
        else:
            await self._ctx.move({cursor.item: cursor.value for cursor in cursors})
        if change == "deleted":
            self._ledger.pop(name, None)
        else:
            self._ledger[name] = seen
        if before is not None:
            self._ledger.pop(before, None)
