"""Queries on one connection. Used by the readers, and by the writer inside its transaction."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from reactor.contracts.event import StoredEvent
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import Parent, RunRecord, Status
from reactor.contracts.store import Page, PlanRecord, RunFilter, Signal
from reactor.store.codec import decode, decode_event, decode_verdicts, unpack_entries

_RUN = (
    "SELECT seq, id, flow, version, event, trigger, status, created, started, ended, wake, next_seq, parent,"
    " parent_path, environment, events, output, error, response FROM runs"
)
_EVENT = "SELECT seq, id, at, origin, flows, invalid, verdicts, event FROM events"


def _record(row: Any) -> RunRecord:
    return RunRecord(
        id=row[1],
        flow=row[2],
        version=row[3],
        event=row[4],
        trigger=row[5],
        status=Status(row[6]),
        created=row[7],
        started=row[8],
        ended=row[9],
        wake=row[10],
        next_seq=row[11],
        parent=Parent(row[12], row[13]) if row[12] is not None else None,
        environment=decode(row[14]) or {},
        events=decode(row[15]) or [row[4]],
        output=decode(row[16]),
        error=decode(row[17]),
        response=decode(row[18]),
    )


def _stored(row: Any) -> StoredEvent:
    return StoredEvent(
        id=row[1],
        at=row[2],
        origin=row[3],
        flows=row[4],
        invalid=row[5],
        verdicts=decode_verdicts(row[6]),
        event=decode_event(row[7]),
    )


def run(db: apsw.Connection, id: str) -> RunRecord | None:
    row = db.execute(_RUN + " WHERE id = ?", (id,)).fetchone()
    return None if row is None else _record(row)


def event(db: apsw.Connection, id: str) -> StoredEvent | None:
    row = db.execute(_EVENT + " WHERE id = ?", (id,)).fetchone()
    return None if row is None else _stored(row)


def entries(db: apsw.Connection, id: str, since: int = 0) -> list[AnyEntry]:
    """Raises CorruptRecord."""
    found: list[AnyEntry] = []
    for _, checksum, data in db.execute("SELECT seq, checksum, entries FROM journal WHERE run = ? ORDER BY seq", (id,)):
        found.extend(unpack_entries(data, checksum))
    return found[since:]


def signals(db: apsw.Connection, id: str, since: int) -> list[Signal]:
    rows = db.execute("SELECT seq, kind, body FROM signals WHERE run = ? AND seq > ? ORDER BY seq", (id, since))
    return [Signal(run=id, seq=seq, kind=kind, body=decode(body)) for seq, kind, body in rows]


def runs(db: apsw.Connection, where: RunFilter, cursor: str | None, limit: int) -> Page:
    clauses, values = [], []
    for clause, value in (
        ("flow = ?", where.flow),
        ("status = ?", where.status),
        ("created >= ?", where.since),
        ("created < ?", where.until),
        ("seq < ?", None if cursor is None else int(cursor)),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)
    if where.status is not None:
        ended = where.status in ("succeeded", "failed", "cancelled")
        clauses.append("ended IS NOT NULL" if ended else "ended IS NULL")
        if where.status in ("failed", "cancelled"):
            clauses.append("status IN ('failed', 'cancelled')")
    if where.event is not None:
        known = event(db, where.event)
        ids = [verdict.run for verdict in known.verdicts if verdict.run] if known is not None else []
        clauses.append(f"id IN ({','.join('?' * len(ids))})")
        values.extend(ids)
    condition = " WHERE " + " AND ".join(clauses) if clauses else ""
    rows = list(db.execute(f"{_RUN}{condition} ORDER BY seq DESC LIMIT ?", (*values, limit + 1)))
    chosen = rows[:limit]
    return Page(items=[_record(row) for row in chosen], next=str(chosen[-1][0]) if len(rows) > limit else None)


def events(db: apsw.Connection, cursor: str | None, limit: int, type: str | None) -> Page:
    clauses, values = [], []
    if cursor is not None:
        clauses.append("seq < ?")
        values.append(int(cursor))
    if type is not None:
        clauses.append("type = ?")
        values.append(type)  # type: ignore[arg-type]
    condition = " WHERE " + " AND ".join(clauses) if clauses else ""
    rows = list(db.execute(f"{_EVENT}{condition} ORDER BY seq DESC LIMIT ?", (*values, limit + 1)))
    chosen = rows[:limit]
    return Page(items=[_stored(row) for row in chosen], next=str(chosen[-1][0]) if len(rows) > limit else None)


def plan(db: apsw.Connection, version: str) -> PlanRecord | None:
    row = db.execute("SELECT record FROM plans WHERE version = ?", (version,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=PlanRecord)


def versions(db: apsw.Connection, flow: str) -> list[PlanRecord]:
    rows = db.execute("SELECT record FROM plans WHERE flow = ? ORDER BY at DESC", (flow,))
    return [msgspec.json.decode(row[0], type=PlanRecord) for row in rows]


def cursor_items(db: apsw.Connection, source: str) -> dict[str, Any]:
    return {i: decode(v) for i, v in db.execute("SELECT item, value FROM cursors WHERE source = ?", (source,))}


def next_wake(db: apsw.Connection) -> float | None:
    row = db.execute("SELECT min(due) FROM runs WHERE owner IS NULL AND due IS NOT NULL").fetchone()
    return None if row is None else row[0]


def counts(db: apsw.Connection) -> dict[str, int]:
    found = dict(db.execute("SELECT status, count(*) FROM runs WHERE ended IS NULL GROUP BY status"))
    for table in ("events", "runs"):
        low, high = db.execute(f"SELECT min(seq), max(seq) FROM {table}").fetchone() or (None, None)
        found[table] = 0 if low is None else high - low + 1
    return found
