"""The loaded flows: from directories that are watched, from a bundle, and old versions from the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from flows.collections import Collection
from flows.connections import Connection
from flows.context import Kinds
from flows.loader import load_text
from flows.problems import Problem
from reactor.catalog.files import FlowFiles, News, Unreadable, View
from reactor.catalog.watching import FlowWatch
from reactor.contracts.clock import Clock
from reactor.contracts.errors import StoreFull
from reactor.contracts.facts import FlowKept, FlowLoaded, FlowRefused, FlowRemoved, FlowWarning, StoreIsFull
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan
from reactor.contracts.store import Journal, PlanRecord
from reactor.contracts.text import shown
from reactor.router.match import FlowSet

RETRY = 1.0
"""Seconds until the next look while the disk is full or a directory is gone."""
SAVE_AT_ONCE = 500
WAIT_FOR_WRITERS = 3.0
"""Seconds that a look somebody waits for gives files that are being written."""


class Catalog:
    def __init__(
        self,
        directories: Sequence[Path],
        kinds: Kinds,
        store: Journal,
        clock: Clock,
        observer: Observer,
        bundle: Path | None = None,
    ) -> None:
        self._kinds = kinds
        self._store = store
        self._clock = clock
        self._observer = observer
        self._files = FlowFiles(directories, kinds, clock.monotonic, bundle)
        self._watch = FlowWatch([str(directory) for directory in directories], self._files, clock, observer)
        self._directories = [str(directory.absolute()) for directory in directories]
        self._compiled: dict[str, Plan] = {}
        self._told: set[Problem] = set()
        self._kept: dict[str, dict[str, str]] | None = None
        """What the store knows of each flow file; None before the first look."""
        self._stale = True
        """The last look was not brought to its end."""
        self._anew = False
        self._lock = anyio.Lock()
        self.flows = FlowSet([])
        self.problems: list[Problem] = []
        self.refused: dict[str, str] = {}
        """Flows of which an older version runs, because their file has errors, and files of which nothing runs."""
        self.collections: list[Collection] = []
        self.changed: Callable[[FlowSet, list[Plan]], Awaitable[None]] | None = None
        """Told of each new set, and of the plans in it that are new."""
        self.connected: Callable[[dict[str, Connection]], Awaitable[None]] | None = None
        """Told of the connections at each change, before the flows."""

    async def refresh(self, anew: bool = False) -> None:
        """As `load`, but a directory that cannot hold flows any more is reported, and its flows run on. With `anew`
        everything is read again: the kinds that flows are checked against have changed."""
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
            if self._kept is None:
                self._kept = await self._store.flow_files()
            if await self._revive(view, self._kept):
                view = await anyio.to_thread.run_sync(self._files.view)
            await self._use(view)
            self._stale = False

    async def _use(self, view: View) -> None:
        self.collections = view.collections
        self.refused = view.refused
        self._report(view.problems)
        if self.connected is not None:
            await self.connected(view.connections)
        await self._install(view)

    async def _install(self, view: View) -> None:
        before, before_hash, after = self.flows.plans, self.flows.hash, view.flows.plans
        new = [plan for plan in after.values() if plan.flow not in before or before[plan.flow].version != plan.version]
        kept = self._kept if self._kept is not None else {}
        known = {version for flows in kept.values() for version in flows.values()}
        records = [self._record(plan, view) for plan in new if plan.version not in known]
        files = {file: flows for file, flows in self._rows(view, kept).items() if kept.get(file) != flows}
        for start in range(0, len(records), SAVE_AT_ONCE):
            await self._store.save_plan(*records[start : start + SAVE_AT_ONCE])
        if files:
            await self._store.save_plan(files=files)
            self._kept = {
                **{f: flows for f, flows in kept.items() if f not in files},
                **{f: v for f, v in files.items() if v},
            }
        self.flows = view.flows  # also when only a file was renamed
        if view.flows.hash == before_hash and set(after) == set(before):
            return
        for plan in new:
            self._compiled[plan.version] = plan
            self._observer.observe(FlowLoaded(flow=plan.flow, version=plan.version[:19], file=plan.file))
        for name in before:
            if name not in after:
                self._observer.observe(FlowRemoved(flow=name))
        if self.changed is not None:
            await self.changed(view.flows, new)

    def _record(self, plan: Plan, view: View) -> PlanRecord:
        return PlanRecord(
            version=plan.version,
            flow=plan.flow,
            file=plan.file,
            folder=plan.folder,
            source=plan.source,
            language=1,
            context=view.contexts.get(plan.version, {}),
            at=self._clock.now(),
        )

    def _rows(self, view: View, kept: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        """What the store has to know of each file. What ran last of a file that has errors stays known, even if it
        cannot run now; a file is forgotten when it is gone from a directory that is looked at."""
        rows = dict(view.files)
        for path, names in view.wanted.items():
            file = str(Path(path).absolute())
            old = {flow: version for flow, version in kept.get(file, {}).items() if not names or flow in names}
            if old:
                rows[file] = {**old, **rows.get(file, {})}
        for file in kept:
            inside = any(file.startswith(f"{directory.rstrip('/')}/") for directory in self._directories)
            if inside and file not in rows and file not in view.present:
                rows[file] = {}
        return rows

    async def _revive(self, view: View, kept: dict[str, dict[str, str]]) -> bool:
        """Brings back what ran before the start of the files that have errors now; whether there was any."""
        found = False
        for path, names in view.wanted.items():
            flows = kept.get(str(Path(path).absolute()), {})
            wanted = {flow: version for flow, version in flows.items() if not names or flow in names}
            plans: dict[str, Plan] = {}
            for flow, version in wanted.items():
                record = await self._store.plan(version)
                # with what is allowed now: an older version may do no more than a new one
                plan = await anyio.to_thread.run_sync(self._compile, record, self._kinds) if record else None
                if plan is not None and plan.flow not in self.flows.plans:
                    plans[flow] = plan
                    self._observer.observe(FlowKept(flow=flow, version=version[:19], file=path))
            if plans:
                self._files.keep(path, plans)
                found = True
        return found

    def _report(self, problems: list[Problem]) -> None:
        self.problems = problems
        for problem in problems:
            if problem not in self._told:
                kind = FlowRefused if problem.severity == "error" else FlowWarning
                place = f"{problem.file}:{problem.line}:{problem.column}"
                self._observer.observe(kind(message=f"{place}: {problem.message}"))
        self._told = set(problems)

    async def plan(self, version: str) -> Plan | None:
        """The plan of a version, loaded or not; None when it cannot be compiled any more."""
        known = self._compiled.get(version)
        if known is not None:
            return known
        record = await self._store.plan(version)
        if record is None:
            return None
        kinds = Kinds(
            actions=self._kinds.actions,
            triggers=self._kinds.triggers,
            allow=frozenset({"shell", "script"}),
            schema=self._kinds.schema,
            file_root="/",
        )
        compiled = await anyio.to_thread.run_sync(self._compile, record, kinds)
        if compiled is not None:
            self._compiled[version] = compiled
        return compiled

    def _compile(self, record: PlanRecord, kinds: Kinds) -> Plan | None:
        documents = load_text(record.source, record.file, record.folder, kinds, record.folder, record.context)
        for document in documents:
            if document.plan is not None and document.plan.flow == record.flow:
                return document.plan
        return None
