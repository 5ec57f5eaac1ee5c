"""What the store in memory answers to people."""

from __future__ import annotations

import msgspec

from reactor.contracts.event import StoredEvent
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import RunRecord
from reactor.contracts.store import Page, QueueMessage, QueueState, RunFilter, Signal


class Row(msgspec.Struct, kw_only=True):
    """A run with what only the store knows of it."""

    record: RunRecord
    seq: int
    entries: list[AnyEntry]
    signals: list[Signal]
    concurrency_key: str | None
    limit: int
    owner: str | None = None
    token: int = 0
    due: float | None = None
    until: float | None = None
    lost: int = 0
    """Claims that ended with their process before anything was written."""
    dedupe_key: str | None = None
    signal_seq: int = 0


class MemoryRuns:
    """`Runs` of the store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._events: dict[str, StoredEvent] = {}
        self._event_seq: dict[str, int] = {}
        self._runs: dict[str, Row] = {}
        self._queue: dict[str, tuple[QueueMessage, str | None]] = {}

    def _active(self, event: str) -> bool:
        return any(row.record.event == event and not row.record.status.ended for row in self._runs.values())

    async def queues(self) -> list[QueueState]:
        found: dict[str, QueueState] = {}
        for message, event in self._queue.values():
            state = found.setdefault(message.queue, QueueState(name=message.queue, waiting=0, active=0, oldest=None))
            if event is None:
                state.waiting += 1
                state.oldest = message.at if state.oldest is None else min(state.oldest, message.at)
            elif self._active(event):
                state.active += 1
        return [found[name] for name in sorted(found)]

    async def run(self, id: str) -> RunRecord | None:
        row = self._runs.get(id)
        return None if row is None else msgspec.structs.replace(row.record)

    async def runs(self, where: RunFilter, cursor: str | None, limit: int) -> Page:
        rows = [
            row
            for row in self._runs.values()
            if (where.flow is None or row.record.flow == where.flow)
            and (where.status is None or row.record.status == where.status)
            and (where.event is None or where.event in row.record.events)
            and (where.since is None or row.record.created >= where.since)
            and (where.until is None or row.record.created < where.until)
            and (cursor is None or row.seq < int(cursor))
        ]
        rows.sort(key=lambda row: -row.seq)
        chosen = rows[:limit]
        more = str(chosen[-1].seq) if len(rows) > limit else None
        return Page(items=[msgspec.structs.replace(row.record) for row in chosen], next=more)

    async def ids(self, prefix: str, limit: int) -> list[str]:
        known = self._runs if prefix.startswith("run_") else self._events
        return sorted(id for id in known if id.startswith(prefix))[:limit]

    async def event(self, id: str) -> StoredEvent | None:
        return self._events.get(id)

    async def events(self, cursor: str | None, limit: int, type: str | None = None, invalid: bool = False) -> Page:
        found = [
            event
            for id, event in self._events.items()
            if (type is None or event.event.type == type)
            and (cursor is None or self._event_seq[id] < int(cursor))
            and (event.invalid is not None or not invalid)
        ]
        found.sort(key=lambda event: -self._event_seq[event.id])
        chosen = found[:limit]
        return Page(items=chosen, next=str(self._event_seq[chosen[-1].id]) if len(found) > limit else None)

    async def entries(self, run: str) -> list[AnyEntry]:
        row = self._runs.get(run)
        return [] if row is None else row.entries[:]

    async def counts(self) -> dict[str, int]:
        counts = {"events": len(self._events), "runs": len(self._runs)}
        for row in self._runs.values():
            if not row.record.status.ended:
                counts[row.record.status.value] = counts.get(row.record.status.value, 0) + 1
        return counts
