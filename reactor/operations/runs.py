"""Runs: lists, step trees, signals."""

from __future__ import annotations

from typing import Protocol

import anyio

from reactor.contracts.errors import Diverged
from reactor.contracts.plan import Plan
from reactor.contracts.run import RunRecord
from reactor.contracts.store import RunFilter, Signal, Store
from reactor.engine import machine
from reactor.engine.state import Run
from reactor.engine.step_tree import StepTree
from reactor.operations.steps import steps_of
from reactor.server import answers
from reactor.server.views import run_item, run_whole

SHOWN_TURNS = 100
GONE = "the flow's version or the event is gone"


class Versions(Protocol):
    """Plans by version."""

    async def plan(self, version: str) -> Plan | None: ...


class RunOperations:
    def __init__(self, store: Store, versions: Versions) -> None:
        self._store = store
        self._versions = versions

    async def ids(self, prefix: str, limit: int) -> list[str]:
        return await self._store.ids(prefix, limit)

    async def page(self, where: RunFilter, cursor: str | None, limit: int) -> answers.RunPage:
        page = await self._store.runs(where, cursor, limit)
        return answers.RunPage([run_item(record) for record in page.items], page.next)

    async def run(self, id: str) -> RunRecord | None:
        return await self._store.run(id)

    async def signal(self, signal: Signal) -> bool:
        return await self._store.signal(signal)

    async def whole(self, record: RunRecord) -> answers.Run:
        tree = StepTree()
        vars, problem = await self._drawn(record, tree)
        return run_whole(record, vars, steps_of(tree.roots, SHOWN_TURNS), problem)

    async def steps(self, record: RunRecord) -> list[answers.Step]:
        tree = StepTree()
        await self._drawn(record, tree)
        return steps_of(tree.roots)

    async def _drawn(self, record: RunRecord, tree: StepTree) -> tuple[dict[str, object], str | None]:
        """Draws the steps; the run's variables, and why they could not be known."""
        if record.started is None:
            return {}, None
        try:
            run = await self._folded(record, tree)
        except Diverged as error:
            return {}, str(error)
        return ({}, GONE) if run is None else (run.scope.vars, None)

    async def retryable(self, record: RunRecord) -> str | None:
        run = await self._folded(record, None)
        if run is None:
            return GONE
        if run.retry_point is None:
            return (
                "the run failed in an expression, and would fail again the same; correct the flow and start a new run"
            )
        return None

    async def _folded(self, record: RunRecord, tree: StepTree | None) -> Run | None:
        """The run as its journal says; None when there is nothing to fold it with. Raises Diverged."""
        plan = await self._versions.plan(record.version)
        event = await self._store.event(record.event)
        if plan is None or event is None:
            return None
        merged = [await self._store.event(id) for id in record.events] if len(record.events) > 1 else [event]
        entries = await self._store.entries(record.id)
        # in a thread: a long loop is folded again from its beginning, and the event loop must not wait for it
        return await anyio.to_thread.run_sync(
            lambda: machine.recover(
                plan,
                event,
                record.id,
                record.trigger,
                record.started or record.created,
                record.environment,
                record.bounds,
                entries,
                [one for one in merged if one is not None],
                tree,
            )
        )
