"""What the SQLite store answers to people and to the engine's questions: reads on a connection of their own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from reactor.contracts.event import StoredEvent
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import RunRecord
from reactor.contracts.store import Page, PlanRecord, QueueState, RunFilter, Signal
from reactor.store.sqlite import plans, reads
from reactor.store.sqlite.database import Database
from reactor.store.sqlite.queues import waiting


class SqliteRuns:
    """`Runs` of the SQLite store."""

    def __init__(self) -> None:
        self._reader: Database | None = None
        self._reader_lock = threading.Lock()
        self._unreadable: set[tuple[str, object]] = set()
        self._numbers: Counter[str] = Counter()
        """Runs that have not ended by status, and messages that wait by queue, as of the last commit."""

    async def _read(self, query: Callable[[Database], Any]) -> Any:
        def work() -> Any:
            with self._reader_lock:
                assert self._reader is not None
                return query(self._reader)

        return await asyncio.to_thread(work)

    async def read(self, run: str, since: int = 0) -> list[AnyEntry]:
        found: list[AnyEntry] = await self._read(lambda db: reads.entries(db, run, since))
        return found

    async def signals(self, run: str, since: int = 0) -> list[Signal]:
        found: list[Signal] = await self._read(lambda db: reads.signals(db, run, since))
        return found

    async def next_wake(self, ahead: float = 0.0) -> float | None:
        found: float | None = await self._read(lambda db: reads.next_wake(db, ahead))
        return found

    async def cursor(self, source: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._read(lambda db: reads.cursor_items(db, source))
        return found

    async def plan(self, version: str) -> PlanRecord | None:
        found: PlanRecord | None = await self._read(lambda db: plans.read(db, version))
        return found

    async def run(self, id: str) -> RunRecord | None:
        found: RunRecord | None = await self._read(lambda db: reads.run(db, id))
        return found

    async def runs(self, where: RunFilter, cursor: str | None, limit: int) -> Page:
        found: Page = await self._read(lambda db: reads.runs(db, where, cursor, limit))
        return found

    async def event(self, id: str) -> StoredEvent | None:
        found: StoredEvent | None = await self._read(lambda db: reads.event(db, id))
        return found

    async def events(self, cursor: str | None, limit: int, type: str | None = None, invalid: bool = False) -> Page:
        found: Page = await self._read(lambda db: reads.events(db, cursor, limit, type, invalid))
        return found

    async def ids(self, prefix: str, limit: int) -> list[str]:
        found: list[str] = await self._read(lambda db: reads.ids(db, prefix, limit))
        return found

    async def entries(self, run: str) -> list[AnyEntry]:
        return await self.read(run)

    async def versions(self, flow: str) -> list[PlanRecord]:
        found: list[PlanRecord] = await self._read(lambda db: plans.versions(db, flow))
        return found

    async def flow_files(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = await self._read(plans.flow_files)
        return found

    async def counts(self) -> dict[str, int]:
        found: dict[str, int] = await self._read(reads.totals)
        alive = {name: n for name, n in self._numbers.items() if n > 0 and not name.startswith("queue ")}
        return {**alive, **found}

    async def queues(self) -> list[QueueState]:
        prefix = waiting("")
        numbers = {name.removeprefix(prefix): n for name, n in self._numbers.items() if name.startswith(prefix)}
        found: list[QueueState] = await self._read(lambda db: reads.queues(db, numbers))
        return found

    def unreadable(self) -> int:
        return len(self._unreadable)
