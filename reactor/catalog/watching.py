"""When to look at the flow files: the kernel tells what changed. Where it cannot, the directories are looked at each
second."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from reactor.catalog.files import FlowFiles
from reactor.catalog.inotify import Directories, Told, untold
from reactor.catalog.news import News
from reactor.contracts.clock import Clock
from reactor.contracts.facts import FlowPolling
from reactor.contracts.observe import Observer
from reactor.contracts.text import is_text

LOOK = 1.0
"""Seconds between looks where the kernel gives no notice, and between glances at what it never tells about."""
SAFETY = 60.0
"""Seconds between looks at everything where the kernel tells."""
SHARE = 50.0
"""A look at everything that takes long is made less often: at most one part in so many of the time."""
SOON = 0.05
WRITING = 0.2
"""Seconds from a notice to the look: shorter for a file that was moved to its place."""


class FlowWatch:
    def __init__(self, directories: Sequence[str], files: FlowFiles, clock: Clock, observer: Observer) -> None:
        self._directories = directories
        self._files = files
        self._clock = clock
        self._observer = observer
        self._kernel: Directories | None = None
        self._polls: str | None = None
        self._whole = clock.monotonic()
        """When everything was looked at."""
        self._seen: tuple[object, ...] = ()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        """Asks the kernel; the first look tells it each folder."""
        remote = next((kind for kind in map(untold, self._directories) if kind is not None), None)
        try:
            if remote is not None:
                self._poll(f"the directory is on a file system of another machine ({remote})")
            else:
                self._kernel = Directories()
                self._files.enter = self._enter
        except OSError as error:
            self._poll(str(error.strerror))
        self._whole = -SAFETY
        self._seen = await anyio.to_thread.run_sync(self._glance)
        try:
            yield
        finally:
            self._end()

    def _enter(self, folder: str) -> None:
        """Called in the thread that looks."""
        kernel = self._kernel
        if kernel is not None and self._polls is None:
            try:
                kernel.add(folder)
            except OSError as error:
                self._poll(f"the kernel does not watch {folder}: {error.strerror}")

    def _poll(self, why: str) -> None:
        """The kernel is not asked any longer."""
        if self._polls is None:
            self._polls = why
            self._observer.observe(FlowPolling(error=why))

    def _end(self) -> None:
        self._files.enter = None
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()

    async def next(self, within: float | None) -> News:
        """What to look at next; at the latest `within` seconds."""
        end = None if within is None else self._clock.monotonic() + within
        while True:
            news = await self._wait(end)
            if news is not None:
                if news.whole:
                    self._whole = self._clock.monotonic()
                return news

    async def _wait(self, end: float | None) -> News | None:
        now = self._clock.monotonic()
        whole = self._whole + max(LOOK if self._polls is not None else SAFETY, SHARE * self._files.took)
        due = end if end is not None else self._files.due  # a look that failed is not made again at once
        if await self._rings(min(now + LOOK, whole, now + LOOK if due is None else due) - now):
            return await self._told()
        now = self._clock.monotonic()
        if now >= whole or (end is not None and now >= end):
            return News(whole=True)
        seen = await anyio.to_thread.run_sync(self._glance)
        if seen != self._seen:
            self._seen = seen
            return News(whole=True)
        if due is not None and now >= due:
            return News(whole=self._polls is not None)
        return None

    async def _rings(self, seconds: float) -> bool:
        """Whether the kernel has something to tell within the time."""
        with anyio.move_on_after(max(seconds, 0.0)):
            if self._polls is None and self._kernel is not None:
                try:
                    await self._kernel.wait()
                    return True
                except (OSError, RuntimeError, ValueError) as error:
                    self._poll(f"{type(error).__name__}: {error}")
            await anyio.sleep_forever()
        return False

    async def _told(self) -> News | None:
        """Reads the kernel's notices, and those that follow at once."""
        news = News()
        try:
            self._take(news)
            if not news:
                return None
            at_once = not news.whole and news.files == news.moved
            await self._clock.sleep(SOON if at_once else WRITING)
            self._take(news)
        except (OSError, ValueError, struct.error) as error:
            self._poll(f"{type(error).__name__}: {error}")
            return News(whole=True)
        return news

    def _take(self, news: News) -> None:
        assert self._kernel is not None
        for told in self._kernel.read():
            path = f"{told.directory}/{told.name}"
            if self._is_large(told):
                news.whole = True
            elif told.directory in self._files.folders and self._files.matters(path, told.name):
                news.files.add(path)
                if told.moved_in:
                    news.moved.add(path)
                else:
                    news.moved.discard(path)

    def _is_large(self, told: Told) -> bool:
        """Whether more than one file may have changed. Of hidden folders only odd names matter."""
        if told.lost or not is_text(told.name):
            return True
        if told.directory not in self._files.folders:
            return False
        return not told.name or told.folder or told.name == "__init__.py"

    def _glance(self) -> tuple[object, ...]:
        """What the kernel never tells of: a directory that is another one now, and the files behind links."""
        return tuple(_identity(path) for path in (*self._directories, *self._files.links))


def _identity(path: str) -> object:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    if os.path.isdir(path):  # noqa: PTH112
        return (status.st_dev, status.st_ino)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
