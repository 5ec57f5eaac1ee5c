"""When the flows are loaded anew, and who is told: from directories that are watched, and from a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import anyio

from flows.collections import Collection
from flows.connections import Connection
from flows.context import Kinds
from flows.problems import Problem
from reactor.catalog.files import FlowFiles
from reactor.catalog.news import News, Unreadable
from reactor.catalog.versions import FlowVersions
from reactor.catalog.view import View
from reactor.catalog.watching import FlowWatch
from reactor.contracts.clock import Clock
from reactor.contracts.errors import StoreFull
from reactor.contracts.facts import FlowKept, FlowLoaded, FlowRefused, FlowRemoved, FlowWarning, StoreIsFull
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan
from reactor.contracts.text import shown
from reactor.router.match import FlowSet

RETRY = 1.0
"""Seconds until the next look while the disk is full or a directory is gone."""
WAIT_FOR_WRITERS = 3.0
"""Seconds that a look somebody waits for gives files that are being written."""


class Follower(Protocol):
    """Who goes along with what the files say."""

    async def settings(self, connections: Mapping[str, Connection], collections: Sequence[Collection]) -> None:
        """At each change, before the flows that use them."""
        ...

    async def flows(self, flows: FlowSet, new: Sequence[Plan]) -> None:
        """Each new set, and the plans in it that are new."""
        ...


class Catalog:
    def __init__(
        self,
        directories: Sequence[Path],
        kinds: Kinds,
        versions: FlowVersions,
        clock: Clock,
        observer: Observer,
        follower: Follower | None = None,
        bundle: Path | None = None,
    ) -> None:
        self._versions = versions
        self._clock = clock
        self._observer = observer
        self._follower = follower
        self._files = FlowFiles(directories, kinds, clock.monotonic, bundle)
        self._watch = FlowWatch([str(directory) for directory in directories], self._files, clock, observer)
        self._directories = [str(directory.absolute()) for directory in directories]
        self._told: set[Problem] = set()
        self._stale = True
        """The last look was not brought to its end."""
        self._anew = False
        self._lock = anyio.Lock()
        self.problems: list[Problem] = []
        self.refused: dict[str, str] = {}
        """Flows of which an older version runs, because their file has errors, and files of which nothing runs."""

    @property
    def flows(self) -> FlowSet:
        return self._versions.flows

    async def recheck(self) -> None:
        """Reads everything again: the kinds that flows are checked against have changed."""
        await self.refresh(anew=True)

    async def refresh(self, anew: bool = False) -> None:
        """As `load`, but a directory that cannot hold flows any more is reported, and its flows run on."""
        await self._try(News(whole=True, again=True, anew=anew), True)

    async def load(self) -> None:
        """Reads what changed. Raises Unreadable for a directory that cannot hold flows."""
        await self._settled(News(whole=True, again=True))

    async def watch(self) -> None:
        """Reloads when files change, until cancelled."""
        async with self._watch.begin():
            while True:
                await self._try(await self._watch.next(RETRY if self._stale else None), False)

    async def _try(self, news: News, settle: bool) -> None:
        try:
            await (self._settled(news) if settle else self._load(news))
        except StoreFull:
            self._stale = True
            self._observer.observe(StoreIsFull())  # what is new is installed at the next look
        except Unreadable as error:
            self._stale = True
            rest = [problem for problem in self.problems if problem.message != str(error)]
            self._report(sorted([*rest, Problem(shown(str(error.directory)), 1, 1, str(error))]))

    async def _settled(self, news: News) -> None:
        """A look that somebody waits for also waits for files that are being written."""
        await self._load(news, self._clock.monotonic() + WAIT_FOR_WRITERS)

    async def _load(self, news: News, end: float = 0.0) -> None:
        async with self._lock:
            news.anew = self._anew = self._anew or news.anew
            different = await anyio.to_thread.run_sync(self._files.look, news)
            self._anew = False
            while (due := self._files.settling) is not None and (now := self._clock.monotonic()) < end:
                self._stale = self._stale or different
                await self._clock.sleep(max(due - now, 0.001))
                different |= await anyio.to_thread.run_sync(self._files.look, News(whole=True))
            if not different and not self._stale:
                return
            self._stale = True
            view = await anyio.to_thread.run_sync(self._files.view)
            if await self._revive(view):
                view = await anyio.to_thread.run_sync(self._files.view)
            await self._use(view)
            self._stale = False

    async def _revive(self, view: View) -> bool:
        """Brings back what ran before the start of the files that have errors now; whether there was any."""
        found = False
        for path, names in view.wanted.items():
            last = await self._versions.last_good(path, names)
            for flow, (version, _) in last.items():
                self._observer.observe(FlowKept(flow=flow, version=version[:19], file=path))
            if last:
                self._files.keep(path, {flow: plan for flow, (_, plan) in last.items()})
                found = True
        return found

    async def _use(self, view: View) -> None:
        self.refused = view.refused
        self._report(view.problems)
        if self._follower is not None:
            await self._follower.settings(view.connections, view.collections)
        before = self._versions.flows
        new = await self._versions.install(view, self._directories)
        if view.flows.hash == before.hash and set(view.flows.plans) == set(before.plans):
            return
        for plan in new:
            self._observer.observe(FlowLoaded(flow=plan.flow, version=plan.version[:19], file=plan.file))
        for name in before.plans:
            if name not in view.flows.plans:
                self._observer.observe(FlowRemoved(flow=name))
        if self._follower is not None:
            await self._follower.flows(view.flows, new)

    def _report(self, problems: list[Problem]) -> None:
        self.problems = problems
        for problem in problems:
            if problem not in self._told:
                kind = FlowRefused if problem.severity == "error" else FlowWarning
                place = f"{problem.file}:{problem.line}:{problem.column}"
                self._observer.observe(kind(message=f"{place}: {problem.message}"))
        self._told = set(problems)
