"""The store in memory: the same meaning as on disk, nothing durable. For `store: memory:`, tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from reactor.contracts.errors import StaleClaim
from reactor.contracts.event import IDENTITY_WINDOW, Cursor
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import Change, RunRecord, Start, Status
from reactor.contracts.store import (
    Acceptance,
    Accepted,
    Appended,
    Claim,
    Claimed,
    Effects,
    Outcome,
    PayloadFolder,
    QueueMessage,
    Retention,
    Signal,
)
from reactor.store.codec import verdict_of
from reactor.store.leases import Leases
from reactor.store.memory.runs import MemoryRuns, Row
from reactor.store.news import News
from reactor.store.owners import NAMES
from reactor.store.payloads import Payloads
from reactor.store.rules import MAX_LOST, earliest, goes_on, kept_of, worn
from reactor.store.sqlite.items import MemoryItems
from reactor.store.sqlite.plans import MemoryPlans


class MemoryStore(MemoryPlans, MemoryRuns, Leases, MemoryItems):
    """Every verb is one synchronous step, so it is a transaction by itself. `folder` is for uploads; without one,
    none may come."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder
        self.payloads: PayloadFolder = Payloads(folder if folder is not None else Path("/nonexistent"))
        self._identities: dict[tuple[str, str], tuple[float, str]] = {}
        self._dedupe: dict[tuple[str, str], tuple[float, str]] = {}
        self._cursors: dict[tuple[str, str], Any] = {}
        self._spent: set[str] = set()
        """Runs that are gone and whose dedupe key is free for `reuse: success`."""
        self._held: Mapping[str, int] = {}
        self._seq = 0
        self._news = News()
        self._refused: list[tuple[str, str]] = []
        self._opened = False
        self.crashed = False

    async def sweep(self) -> int:
        return 0

    async def open(self) -> None:
        """Claims and leases of a process that is gone are void at once."""
        self._owners.clear()
        self.crashed, self._opened = self._opened, True
        for row in self._runs.values():
            if row.owner is not None:
                row.owner = None
                row.due = 0.0
                row.lost += self.crashed

    async def close(self, clean: bool = True) -> None:
        """Keeps what it has: tests open it again as the next process would."""
        self._opened = not clean

    def commit_times(self) -> None:
        return None

    def size(self) -> int:
        return 0

    def health(self) -> str | None:
        return None

    async def _named(self, source: str, name: str) -> str:
        return str(self._cursors.setdefault((NAMES, source), name))

    def held(self, seqs: Mapping[str, int]) -> None:
        self._held = seqs

    def _hint(self) -> None:
        hints = self._news.hints()
        if hints is not None:
            self._news = News()
            self._tell_all(hints)

    async def accept(self, acceptance: Acceptance) -> Accepted:
        accepted = self._accept(acceptance)
        self._hint()
        return accepted

    def _accept(self, acceptance: Acceptance) -> Accepted:
        stored = acceptance.event
        key = stored.event.key
        if key is not None:
            identity = (stored.scope, key)
            known = self._identities.get(identity)
            if known is not None and known[0] > stored.at:
                first = self._events.get(known[1])
                self._move(acceptance.cursors)
                verdicts = first.verdicts if first is not None else []
                outcomes = [Outcome(v.flow, v.verdict, v.run) for v in verdicts if v.run is not None]
                return Accepted(event=known[1], outcomes=outcomes, verdicts=verdicts, duplicate=True)
            self._identities[identity] = (stored.at + IDENTITY_WINDOW, stored.id)
        outcomes = []
        follow: list[Acceptance] = []
        verdicts = list(stored.verdicts)
        self._seq += 1
        self._event_seq[stored.id] = self._seq
        for start in acceptance.starts:
            outcome = self._start(acceptance, start)
            outcomes.append(outcome)
            verdicts.append(verdict_of(outcome, start))
            if outcome.verdict == "started":
                follow.extend(start.follow)
        self._events[stored.id] = msgspec.structs.replace(stored, verdicts=verdicts)
        for upload in acceptance.uploads:
            Payloads(self._folder or Path()).adopt(upload)
        if acceptance.taken is not None and acceptance.taken in self._queue:
            self._queue[acceptance.taken] = (self._queue[acceptance.taken][0], stored.id)
        self._move(acceptance.cursors)
        for signal in acceptance.signals:
            self._tell(signal)
        answers = [self._accept(other) for other in follow]
        return Accepted(event=stored.id, outcomes=outcomes, verdicts=verdicts, follow=answers)

    def _start(self, acceptance: Acceptance, start: Start) -> Outcome:
        if start.dedupe_key is not None:
            known = self._dedupe.get((start.flow, start.dedupe_key))
            if known is not None and known[0] > start.at:
                first = self._runs.get(known[1])
                spent = (
                    known[1] in self._spent
                    if first is None
                    else first.record.status in (Status.failed, Status.cancelled)
                )
                if start.dedupe_reuse == "any" or not spent:
                    return Outcome(start.flow, "duplicate", known[1])
        admitted = True
        if start.concurrency_key is not None:
            active, waiting = self._slots(start.flow, start.concurrency_key)
            if len(active) >= start.limit or waiting:
                admitted = False
                if start.when_busy == "skip":
                    return Outcome(start.flow, "busy", None)
                if start.when_busy == "latest" and waiting:
                    record = waiting[-1].record
                    record.event = acceptance.event.id
                    record.events = [*record.events, acceptance.event.id][-1000:]
                    return Outcome(start.flow, "merged", record.id)
                if start.when_busy == "replace":
                    for row in [*active, *waiting]:
                        self._signal(row, Signal(run=row.record.id, kind="cancel", body={"reason": "replaced"}))
                elif len(waiting) >= start.waiting:
                    return Outcome(start.flow, "busy", None)
        token = self._insert(acceptance, start, admitted)
        if start.dedupe_key is not None:
            self._dedupe[(start.flow, start.dedupe_key)] = (start.at + start.dedupe_seconds, start.id)
        return Outcome(start.flow, "started", start.id, token)

    def _slots(self, flow: str, key: str) -> tuple[list[Row], list[Row]]:
        """Runs of a concurrency key: those that have a slot, and those that wait for one, oldest first."""
        rows = [
            row
            for row in self._runs.values()
            if row.concurrency_key == key and row.record.flow == flow and not row.record.status.ended
        ]
        waiting = [row for row in rows if row.record.status is Status.queued and row.record.wake is None]
        return [row for row in rows if row not in waiting], waiting

    def _insert(self, acceptance: Acceptance, start: Start, admitted: bool) -> int:
        """The token of the claim, where the acceptor goes on with it."""
        begun = kept_of(start, self._owners.alive(acceptance.owner))
        change = begun.change if begun is not None else None
        live = begun is not None and goes_on(begun)
        self._seq += 1
        record = RunRecord(
            id=start.id,
            flow=start.flow,
            version=start.version,
            event=acceptance.event.id,
            trigger=start.trigger,
            status=change.status if change is not None else Status.queued,
            created=start.at,
            started=start.at if change is not None else None,
            wake=change.wake if change is not None else (start.at if admitted else None),
            shift=start.shift,
            parent=start.parent,
            environment=start.environment,
            bounds=start.bounds,
            events=[acceptance.event.id],
        )
        row = Row(
            record=record,
            seq=self._seq,
            entries=list(begun.entries) if begun is not None else [],
            signals=[],
            concurrency_key=start.concurrency_key,
            limit=start.limit,
            owner=acceptance.owner if live else None,
            token=1 if live else 0,
            dedupe_key=start.dedupe_key,
        )
        record.next_seq = len(row.entries)
        self._runs[start.id] = row
        if change is not None:
            self._apply(row, change)
        if not record.status.ended and not live:
            self._park(row, record.wake, change.until if change is not None else None)
        if not live and record.status is Status.running:
            row.due = 0.0
            self._news.due = True
        return row.token

    def _park(self, row: Row, wake: float | None, until: float | None) -> None:
        row.due = None if wake is None else wake - row.record.shift
        row.until = until
        row.record.wake = earliest(wake, until)
        if row.due is not None or row.until is not None:
            self._news.due = True

    def _apply(self, row: Row, change: Change) -> None:
        record = row.record
        record.status = change.status
        record.wake = change.wake
        record.output = change.output
        record.error = change.error
        record.response = change.response
        if record.started is None:
            record.started = change.at if change.started is None else change.started
        if change.status.ended:
            record.ended = change.at
            record.wake = None
            row.owner = None
            row.due = row.until = None
            row.signals = []
            self._after_end(row)

    def _after_end(self, row: Row) -> None:
        record = row.record
        if record.parent is not None:
            parent = self._runs.get(record.parent.run)
            if parent is not None and not parent.record.status.ended:
                body: dict[str, Any] = {"path": record.parent.path, "run": record.id, "status": record.status.value}
                body |= {"flow": record.flow, "output": record.output, "error": record.error}
                self._signal(parent, Signal(run=parent.record.id, kind="child", body=body))
        if row.concurrency_key is not None:
            self._promote(record.flow, row.concurrency_key, record.ended or 0.0)

    def _promote(self, flow: str, key: str, now: float) -> None:
        active, waiting = self._slots(flow, key)
        count = len(active)
        for row in waiting:
            if count >= row.limit:
                return
            row.record.wake = now
            row.due = 0.0
            self._news.due = True
            count += 1

    def _signal(self, row: Row, signal: Signal) -> None:
        row.signal_seq += 1
        row.signals.append(msgspec.structs.replace(signal, seq=row.signal_seq))
        if row.owner is None:
            row.due = 0.0
            self._news.due = True
        else:
            self._news.signalled.append(row.record.id)

    async def append(self, claim: Claim, expected_seq: int, effects: Effects) -> Appended:
        change = effects.change
        row = self._held_by(claim)
        if row.record.next_seq != expected_seq:
            raise StaleClaim(f"{claim.run} stands at {row.record.next_seq}, not {expected_seq}")
        row.entries.extend(effects.entries)
        row.record.next_seq += len(effects.entries)
        row.signals = [signal for signal in row.signals if signal.seq > effects.consumed]
        self._news.due = self._news.due or row.lost >= MAX_LOST - 1
        row.lost = 0
        if change.shift is not None:
            row.record.shift = change.shift
        accepted = [self._accept(acceptance) for acceptance in effects.outbox]
        self._push(effects.pushes)
        for signal in effects.signals:
            self._tell(signal)
        self._apply(row, change)
        if change.status.ended or change.response is not None:
            self._news.ended.append(claim.run)
        if change.release and not change.status.ended:
            row.owner = None
            self._park(row, change.wake, change.until)
            if row.signals:
                row.due = 0.0
                self._news.due = True
        self._hint()
        return Appended(accepted=accepted)

    async def push(self, messages: Sequence[QueueMessage]) -> None:
        self._push(messages)
        self._hint()

    def _push(self, messages: Sequence[QueueMessage]) -> None:
        for message in messages:
            if message.id not in self._queue:
                self._queue[message.id] = (message, None)
                self._news.queues.add(message.queue)

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        active = 0
        for id, (message, event) in list(self._queue.items()):
            if message.queue == queue and event is not None:
                if self._active(event):
                    active += 1
                else:
                    del self._queue[id]
        waiting = [message for message, event in self._queue.values() if message.queue == queue and event is None]
        return waiting[: max(at_once - active, 0)]

    async def claim(self, owner: str, limit: int, now: float, wall: float | None = None) -> list[Claimed]:
        moment = now if wall is None else wall
        if not self._owners.alive(owner):
            raise StaleClaim(f"{owner} has no lease")
        if gone := self._owners.take_over(now, owner):
            self._free(gone)
        for row in self._runs.values():
            if row.owner is None and row.lost >= MAX_LOST:
                self._quarantine(row)
        due = [
            row
            for row in self._runs.values()
            if row.owner is None
            and ((row.due is not None and row.due <= now) or (row.until is not None and row.until <= moment))
        ]
        due.sort(key=lambda row: row.seq)
        chosen = [] if self._alone() else [row for row in due if row.lost >= MAX_LOST - 1][:1]
        chosen += [row for row in due if row.lost < MAX_LOST - 1]
        claimed = [self._claimed(row, owner) for row in chosen[:limit]]
        self._hint()
        return claimed

    def _alone(self) -> bool:
        """Whether a run that was lost again and again is being looked at by itself."""
        return any(row.owner is not None and row.lost >= MAX_LOST - 1 for row in self._runs.values())

    def _claimed(self, row: Row, owner: str) -> Claimed:
        row.owner = owner
        row.token += 1
        row.due = row.until = None
        record = row.record
        return Claimed(
            claim=Claim(record.id, owner, row.token),
            record=msgspec.structs.replace(record),
            event=self._events[record.event],
            events=[self._events[id] for id in record.events if id in self._events],
            entries=None if self._held.get(record.id) == record.next_seq else list(row.entries),
            signals=list(row.signals),
        )

    def _quarantine(self, row: Row) -> None:
        row.record.status = Status.paused
        row.record.error = worn()
        row.due, row.until, row.lost = None, None, 0
        self._refused.append((row.record.id, row.record.error["message"]))

    def quarantined(self) -> list[tuple[str, str]]:
        refused, self._refused = self._refused, []
        return refused

    def _free(self, owners: set[str]) -> None:
        """Others go on with the runs of owners that are gone."""
        for row in self._runs.values():
            if row.owner in owners:
                row.owner, row.due = None, 0.0
                row.lost += 1
        self._owners.freed(owners)
        self._news.lost.extend(sorted(owners))

    async def release(self, claim: Claim, wake: float | None) -> None:
        row = self._held_by(claim)
        row.owner = None
        row.due = wake
        self._news.due = True
        self._hint()

    def _held_by(self, claim: Claim) -> Row:
        """Raises StaleClaim."""
        row = self._runs.get(claim.run)
        if row is None or row.owner != claim.owner or row.token != claim.token:
            raise StaleClaim(f"{claim.run} is not held with token {claim.token}")
        return row

    async def read(self, run: str, since: int = 0) -> list[AnyEntry]:
        row = self._runs.get(run)
        return [] if row is None else row.entries[since:]

    async def signals(self, run: str, since: int = 0) -> list[Signal]:
        row = self._runs.get(run)
        return [] if row is None else [signal for signal in row.signals if signal.seq > since]

    async def signal(self, signal: Signal) -> bool:
        told = self._tell(signal)
        self._hint()
        return told

    def _tell(self, signal: Signal) -> bool:
        row = self._runs.get(signal.run)
        if row is None:
            return False
        status = row.record.status
        if signal.kind == "retry":
            if status not in (Status.failed, Status.cancelled):
                return False
            row.record.status = Status.queued
            row.record.ended = None
            row.record.wake = 0.0
        elif (signal.kind == "resume" and status is not Status.paused) or status.ended:
            return False
        self._signal(row, signal)
        return True

    async def next_wake(self, ahead: float = 0.0) -> float | None:
        busy = self._alone()
        free = [row for row in self._runs.values() if row.owner is None and not (busy and row.lost >= MAX_LOST - 1)]
        moments = [row.due for row in free if row.due is not None]
        moments += [row.until - ahead for row in free if row.until is not None]
        return min(moments, default=None)

    def unreadable(self) -> int:
        return 0

    async def cursor(self, source: str) -> dict[str, Any]:
        return {item: value for (name, item), value in self._cursors.items() if name == source}

    async def move(self, cursors: Sequence[Cursor]) -> None:
        self._move(cursors)

    def _move(self, cursors: Sequence[Cursor]) -> None:
        for cursor in cursors:
            if cursor.value is None:
                self._cursors.pop((cursor.source, cursor.item), None)
            else:
                self._cursors[(cursor.source, cursor.item)] = cursor.value

    async def prune(self, now: float, retention: Retention, limit: int) -> int:
        cutoff = now - retention.age
        ended = sorted((row for row in self._runs.values() if row.record.status.ended), key=lambda row: row.seq)
        surplus = len(self._runs) - retention.count
        removed = 0
        dropped: set[str] = set()
        for row in ended:
            if removed >= limit:
                break
            if (row.record.ended or 0.0) <= cutoff or surplus > 0:
                del self._runs[row.record.id]
                dropped.update(row.record.events)
                if row.dedupe_key is not None and row.record.status is not Status.succeeded:
                    self._spent.add(row.record.id)
                removed += 1
                surplus -= 1
        used = {id for row in self._runs.values() for id in row.record.events}
        for id, event in list(self._events.items()):
            if id not in used and (id in dropped or (event.at <= cutoff and removed < limit)):
                del self._events[id]
                del self._event_seq[id]
                removed += 1
        self._identities = {key: value for key, value in self._identities.items() if value[0] > now}
        self._dedupe = {key: value for key, value in self._dedupe.items() if value[0] > now}
        self._spent &= {run for _, run in self._dedupe.values()}
        return removed
