"""The loaded flows: from directories that are watched, from a bundle, and old versions from the store.

A bad file never takes a good flow down: its last good version runs on. A file that is gone for under a second was
an editor's save.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio

from flows.collections import Collection, load_collections
from flows.connections import Connection, by_name, connection_files, load_connections
from flows.context import Kinds
from flows.loader import Document, cross_check, flow_files, load_file, load_text
from flows.problems import Problem
from reactor.contracts.clock import Clock
from reactor.contracts.errors import ConfigError, StoreFull
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan
from reactor.contracts.store import Journal, PlanRecord
from reactor.router.match import FlowSet
from triggers._watch import Bell, notice

EDITOR_SAVE = 1.0
LOOK = 1.0
"""Seconds between looks where the kernel gives no notice."""


class Unreadable(ConfigError):
    """A directory cannot hold flows, or nobody knows whether it does."""

    def __init__(self, directory: Path, message: str) -> None:
        super().__init__(message)
        self.directory = directory


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
        self._directories = list(directories)
        self._kinds = kinds
        self._store = store
        self._clock = clock
        self._observer = observer
        self._bundle = bundle
        self._cache: dict[Path, tuple[Any, list[Document]]] = {}
        self._good: dict[str, dict[str, Plan]] = {}
        self._vanished: dict[Path, float] = {}
        self._compiled: dict[str, Plan] = {}
        self._told: set[Problem] = set()
        self._there: set[Path] = set()
        """Directories that were there at a look."""
        self._lock = anyio.Lock()
        self.flows = FlowSet([])
        self.problems: list[Problem] = []
        self.collections: list[Collection] = []
        self.changed: Callable[[FlowSet, list[Plan]], Awaitable[None]] | None = None
        """Told of each new set, and of the plans in it that are new."""
        self.connected: Callable[[dict[str, Connection]], Awaitable[None]] | None = None
        """Told of the connections at each look, before the flows."""

    async def refresh(self, anew: bool = False) -> None:
        """As `load`, but a directory that cannot hold flows any more is said, and its flows run on. With `anew`
        everything is read again: the kinds that flows are checked against have changed."""
        if anew:
            self._cache.clear()
        try:
            await self.load()
        except StoreFull:
            self._observer.observe("store.full")  # what is new is installed at the next look
        except Unreadable as error:
            rest = [problem for problem in self.problems if problem.message != str(error)]
            self._report([*rest, Problem(str(error.directory), 1, 1, str(error))])

    async def load(self) -> None:
        """Reads what changed. Raises Unreadable for a directory that cannot hold flows."""
        async with self._lock:
            await self._load()

    async def _load(self) -> None:
        documents, connections, collections = await anyio.to_thread.run_sync(self._read)
        self.collections = collections
        plans: dict[str, Plan] = {}
        problems: list[Problem] = []
        for document in documents:
            problems.extend(document.problems)
            plan = document.plan
            good = self._good.setdefault(document.file, {})
            if plan is None:
                plan = good.get(document.name)
                if plan is None and not document.name:
                    for name, other in good.items():
                        plans.setdefault(name, other)
            if plan is not None:
                good[plan.flow] = plan
                plans.setdefault(plan.flow, plan)
        problems.extend(problem for one in connections for problem in one.problems)
        problems.extend(problem for one in collections for problem in one.problems)
        self._report(problems)
        if self.connected is not None:
            await self.connected({one.name: one for one in reversed(connections) if one.name})
        flows = FlowSet(plans.values())
        if flows.hash == self.flows.hash and set(flows.plans) == set(self.flows.plans):
            return
        await self._install(flows, documents)

    async def _install(self, flows: FlowSet, documents: list[Document]) -> None:
        files = {document.plan.version: document.files for document in documents if document.plan is not None}
        before = self.flows.plans
        new: list[Plan] = []
        for plan in flows.plans.values():
            if plan.flow in before and before[plan.flow].version == plan.version:
                continue
            self._compiled[plan.version] = plan
            new.append(plan)
            await self._store.save_plan(
                PlanRecord(
                    version=plan.version,
                    flow=plan.flow,
                    file=plan.file,
                    folder=plan.folder,
                    source=plan.source,
                    language=1,
                    context=files.get(plan.version, {}),
                    at=self._clock.now(),
                )
            )
            self._observer.observe("flow.loaded", flow=plan.flow, version=plan.version[:19], file=plan.file)
        for name in before:
            if name not in flows.plans:
                self._observer.observe("flow.removed", flow=name)
        self.flows = flows
        if self.changed is not None:
            await self.changed(flows, new)

    def _report(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        for problem in self.problems:
            if problem not in self._told:
                fact = "flow.refused" if problem.severity == "error" else "flow.warning"
                place = f"{problem.file}:{problem.line}:{problem.column}"
                self._observer.observe(fact, message=f"{place}: {problem.message}")
        self._told = set(self.problems)

    def _read(self) -> tuple[list[Document], list[Connection], list[Collection]]:
        """Raises Unreadable; whatever is looked for, a disk that fails is no answer."""
        try:
            return self._look()
        except OSError as error:
            place = Path(error.filename) if error.filename else self._directories[0]
            raise Unreadable(place, f"the directory cannot be read: {error.strerror}") from None

    def _look(self) -> tuple[list[Document], list[Connection], list[Collection]]:
        documents: list[Document] = []
        connections: list[Connection] = []
        if self._bundle is not None:
            work = str(Path.cwd())
            for path in flow_files(self._bundle):
                documents.extend(load_file(path, self._kinds, work))
            connections += [
                one for path in connection_files(self._bundle) for one in load_connections(path, self._kinds)
            ]
        paths: list[Path] = []
        for directory in self._directories:
            try:
                paths.extend(flow_files(directory))
            except ValueError as error:
                raise Unreadable(directory, str(error)) from None
            if directory.is_dir():
                self._there.add(directory)
                connections += [
                    one for path in connection_files(directory) for one in load_connections(path, self._kinds)
                ]
            elif directory in self._there:
                raise Unreadable(directory, "the directory is gone; its flows run on until it is back")
        now = self._clock.monotonic()
        for path in list(self._cache):
            if path not in paths:
                since = self._vanished.setdefault(path, now)
                if now - since < EDITOR_SAVE:
                    paths.append(path)
                else:
                    del self._cache[path], self._vanished[path]
                    self._good.pop(str(path), None)
        for path in paths:
            documents.extend(self._cached(path))
        places = [one for one in (self._bundle, *self._directories) if one is not None and one.is_dir()]
        collections = load_collections(places, self._kinds)
        cross_check(documents, self._kinds, by_name(connections), (one.name for one in collections))
        return documents, connections, collections

    def _cached(self, path: Path) -> list[Document]:
        known = self._cache.get(path)
        if path in self._vanished and path.exists():
            del self._vanished[path]
        if path in self._vanished and known is not None:
            loaded = known[1]
        else:
            if known is None or known[0] != _stamp(path, known[1]):
                loaded = load_file(path, self._kinds)
                self._cache[path] = (_stamp(path, loaded), loaded)
            else:
                loaded = known[1]
        return [dataclasses.replace(document, problems=list(document.problems)) for document in loaded]

    async def watch(self) -> None:
        """Reloads when files change, until cancelled."""
        wake, stop = Bell(), anyio.Event()
        async with anyio.create_task_group() as group:
            for directory in self._directories:
                group.start_soon(notice, directory, wake, stop, 100)
            try:
                while True:
                    with anyio.move_on_after(LOOK):
                        await wake.wait()
                    wake.clear()
                    await self.refresh()
            finally:
                stop.set()  # the watcher's thread looks at this; cancellation alone would wait for its time-out

    async def plan(self, version: str) -> Plan | None:
        """The plan of a version, loaded or not; None when it cannot be compiled any more."""
        known = self._compiled.get(version)
        if known is not None:
            return known
        record = await self._store.plan(version)
        if record is None:
            return None
        compiled = await anyio.to_thread.run_sync(self._compile, record)
        if compiled is not None:
            self._compiled[version] = compiled
        return compiled

    def _compile(self, record: PlanRecord) -> Plan | None:
        kinds = Kinds(
            actions=self._kinds.actions,
            triggers=self._kinds.triggers,
            allow=frozenset({"shell", "script"}),
            schema=self._kinds.schema,
            file_root="/",
        )
        documents = load_text(record.source, record.file, record.folder, kinds, record.folder, record.context)
        for document in documents:
            if document.plan is not None and document.plan.flow == record.flow:
                return document.plan
        return None


def _stamp(path: Path, documents: list[Document]) -> Any:
    """What changes when a flow file, or a file that it names, changes."""
    stamps = []
    names = {name for document in documents for name in document.files}
    for one in [path, *(path.parent / name for name in sorted(names))]:
        try:
            status = one.stat()
            stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            stamps.append((0, 0, 0))
    return tuple(stamps)
