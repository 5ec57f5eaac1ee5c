"""From the files of the flows directories to loaded flows. It works in a thread, one look at a time.

A file is taken when two looks find it equal; one that was moved to its place is complete, and taken at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flows.context import Kinds
from flows.problems import Problem
from flows.tree import Found, how, in_order, is_ours
from reactor.catalog.directories import FlowDirectories
from reactor.catalog.last_good import EDITOR_SAVE, LastGood
from reactor.catalog.news import News, Unreadable
from reactor.catalog.reading import FileRead, read
from reactor.catalog.settling import Settling
from reactor.catalog.view import View, Views
from reactor.contracts.plan import Plan

OLD = 0.5
"""Age in seconds at which a file that is there at the start counts as written."""
SLICE = 0.002
"""Seconds of work after which the thread lets others have the interpreter."""


class FlowFiles:
    """`monotonic` is the clock's."""

    def __init__(
        self, directories: Sequence[Path], kinds: Kinds, monotonic: Callable[[], float], bundle: Path | None = None
    ) -> None:
        self._directories = FlowDirectories(directories, bundle)
        self._kinds = kinds
        self._monotonic = monotonic
        self.enter: Callable[[str], None] | None = None
        """Called with each folder before it is listed."""
        self._found: dict[str, tuple[str, Found]] = {}
        """Sort and state of the files by path."""
        self.folders: set[str] = set()
        self._names: list[Problem] = []
        self._loaded: dict[str, FileRead] = {}
        self._named: dict[str, set[str]] = {}
        """Files that flow files name, and which do."""
        self._good = LastGood()
        self._settling = Settling()
        self._views = Views(self._directories, kinds, self._good, self._breathe)
        self._vanished: dict[str, float] = {}
        self._restless: set[str] = set()
        self._begun = False
        # read by the event loop while a thread looks, so they are only ever replaced
        self.due: float | None = None
        """When the next look is needed though nothing is told, on the monotonic clock."""
        self.settling: float | None = None
        """When the next unsettled file may be taken; None when all are."""
        self.links: tuple[str, ...] = ()
        """Files that are links: nobody tells when what they point to changes."""
        self.took = 0.0
        """Seconds that the last walk over everything took."""
        self._breath = 0.0

    def matters(self, path: str, name: str) -> bool:
        """Whether a change of the file may change what is loaded."""
        return is_ours(name) or path in self._named

    def look(self, news: News) -> bool:
        """Brings what is known up to date; whether anything is different. Raises Unreadable."""
        self._breath = time.perf_counter()
        try:
            return self._look(news)
        except OSError as error:
            place = error.filename or self._directories.watched[0]
            raise Unreadable(place, f"the directory cannot be read: {error.strerror}") from None

    def _look(self, news: News) -> bool:
        now = self._monotonic()
        unsettled = set(self._settling.paths())
        different = self._walk() if news.whole else self._glance(news.files | unsettled)
        asked = {user for path in news.files for user in self._named.get(path, ())} | news.files | unsettled
        for path in list(self._found) if news.whole else sorted(asked):
            entry = self._found.get(path)
            if entry is not None:
                self._vanished.pop(path, None)
                different |= self._consider(path, *entry, news, now)
        different |= self._missing(now)
        restless = self._settling.restless(now)
        different |= restless != self._restless
        self._restless = restless
        different |= not self._begun
        self._begun = True
        self._plan_ahead()
        return different

    def _plan_ahead(self) -> None:
        self.settling = self._settling.due()
        moments = [] if self.settling is None else [self.settling]
        moments += [since + EDITOR_SAVE for since in self._vanished.values()]
        moments += self._good.due()
        self.due = min(moments, default=None)

    def _walk(self) -> bool:
        """All files of all directories."""
        begun = time.perf_counter()
        walk = self._directories.walk(self.enter)
        different = walk.problems != self._names
        self._found, self.folders, self._names = walk.files, walk.folders, walk.problems
        self.links = tuple(path for path, (_, state) in walk.files.items() if state.link)
        self.took = time.perf_counter() - begun
        return different

    def _glance(self, paths: set[str]) -> bool:
        """Only these files."""
        for path in paths:
            sort = self._directories.sort(path)
            if sort is None or not is_ours(path.rpartition("/")[2]):
                continue  # a file that flows name
            state = how(path)
            if state is None:
                self._found.pop(path, None)
            else:
                self._found[path] = (sort, state)
                if state.link and path not in self.links:
                    self.links = (*self.links, path)
        return False

    def _consider(self, path: str, sort: str, found: Found, news: News, now: float) -> bool:
        """Reads a file that changed, once it is quiet; whether it did."""
        known = self._loaded.get(path)
        named = known.states() if known is not None else ()
        if known is not None and known.found[:3] == found[:3] and named == tuple(known.named.values()):
            self._settling.forget(path)
            if not (news.anew or (news.again and known.bad)):
                return False
        elif not self._is_written(path, found, named, news, now):
            return False
        loaded = self._read(path, sort, found)
        now_found = how(path)
        if now_found is None or now_found[:4] != found[:4]:
            if now_found is not None:  # somebody writes there now
                self._found[path] = (sort, now_found)
                self._settling.wait(path, now_found, named, now)
            return False
        self._settling.forget(path)
        self._take(path, loaded, known, now)
        self._breathe()
        return True

    def _is_written(self, path: str, found: Found, named: tuple[Found | None, ...], news: News, now: float) -> bool:
        if path in news.moved or (not self._begun and time.time() - found.changed / 1e9 > OLD):
            return True
        return self._settling.is_quiet(path, found, named, now)

    def _read(self, path: str, sort: str, found: Found) -> FileRead:
        folder = str(Path.cwd()) if self._directories.is_bundled(path) else None
        return read(path, sort, found, self._kinds, folder)

    def _take(self, path: str, loaded: FileRead, known: FileRead | None, now: float) -> None:
        self._unname(path, known)
        for name in loaded.named:
            self._named.setdefault(name, set()).add(path)
            if self.enter is not None:
                self.enter(os.path.dirname(name))  # noqa: PTH120
        self._loaded[path] = loaded
        self._good.named(path, {document.name for document in loaded.documents}, now)

    def _unname(self, path: str, known: FileRead | None) -> None:
        for name in known.named if known is not None else ():
            self._named.get(name, set()).discard(path)

    def _missing(self, now: float) -> bool:
        """Files and flows that are gone for longer than an editor's save are dropped; whether there are any."""
        different = False
        for path in [path for path in self._vanished if path in self._found]:
            del self._vanished[path]
        if len(self._loaded) != len(self._found) or self._settling or self._vanished:
            for path in [path for path in (*self._loaded, *self._settling.paths()) if path not in self._found]:
                self._settling.forget(path)
                if path in self._loaded and now - self._vanished.setdefault(path, now) >= EDITOR_SAVE:
                    self._unname(path, self._loaded.pop(path))
                    self._vanished.pop(path)
                    self._good.forget(path)
                    different = True
        return self._good.forget_lost(now, self._loaded) or different

    def _breathe(self) -> None:
        """Lets the event loop have the interpreter; not at the start, when nobody waits."""
        if self._begun and time.perf_counter() - self._breath > SLICE:
            time.sleep(SLICE)
            self._breath = time.perf_counter()

    def keep(self, path: str, plans: Mapping[str, Plan]) -> None:
        """Versions that ran before the start, for flows whose file has errors now."""
        self._good.keep(path, plans)

    def view(self) -> View:
        """Everything together."""
        paths = sorted(sorted(self._loaded, key=in_order), key=self._directories.order)
        files = [(path, self._loaded[path]) for path in paths]
        return self._views.view(files, self._vanished, self._restless, self._names, self._found)
