"""Queries on one connection. Used by the readers, and by the writer inside its transaction."""

from __future__ import annotations

from typing import Any

import apsw

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import Parent, RunRecord, Status
from reactor.contracts.store import Page, QueueState, RunFilter, Signal
from reactor.store.codec import CorruptRecord, decode, decode_event, decode_verdicts, unpack_entries, unpack_environment
from reactor.store.payloads import MARK, Payloads


class Database(apsw.Connection):
    """A connection with the folder of large payloads."""

    payloads: Payloads


def load(db: Database, data: Any) -> Any:
    """A column's bytes, from its file when it only names one. Raises CorruptRecord."""
    if data is not None and data[:1] == MARK:
        return db.payloads.get(bytes(data[1:]).decode("ascii"))
    return data


def load_or_say(db: Database, data: Any) -> Any:
    """The value of a column for people; what is lost is said in its place."""
    try:
        return decode(load(db, data))
    except CorruptRecord as error:
        return {"$lost": str(error)}


_RUN = (
    "SELECT seq, id, flow, version, event, trigger, status, created, started, ended, wake, next_seq, parent,"
    " parent_path, environment, events, output, error, response FROM runs"
)
_EVENT = "SELECT seq, id, at, origin, flows, invalid, verdicts, event FROM events"


def _record(db: Database, row: Any) -> RunRecord:
    environment, bounds = unpack_environment(row[14])
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
        environment=environment,
        bounds=bounds,
        events=decode(row[15]) or [row[4]],
        output=load_or_say(db, row[16]),
        error=load_or_say(db, row[17]),
        response=load_or_say(db, row[18]),
    )


def _stored(db: Database, row: Any, strict: bool = False) -> StoredEvent:
    invalid = row[5]
    try:
        event = decode_event(load(db, row[7]))
    except CorruptRecord as error:
        if strict:
            raise
        event, invalid = Event(type="lost", source=row[3]), str(error)
    return StoredEvent(
        id=row[1],
        at=row[2],
        origin=row[3],
        flows=row[4],
        invalid=invalid,
        verdicts=decode_verdicts(row[6]),
        event=event,
    )


def run(db: Database, id: str) -> RunRecord | None:
    row = db.execute(_RUN + " WHERE id = ?", (id,)).fetchone()
    return None if row is None else _record(db, row)


def event(db: Database, id: str, strict: bool = False) -> StoredEvent | None:
    """With `strict`, raises CorruptRecord for one whose payload is lost."""
    row = db.execute(_EVENT + " WHERE id = ?", (id,)).fetchone()
    return None if row is None else _stored(db, row, strict)


def ids(db: Database, prefix: str, limit: int) -> list[str]:
    table = "runs" if prefix.startswith("run_") else "events"
    query = f"SELECT id FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    return [row[0] for row in db.execute(query, (prefix, prefix + "\U0010ffff", limit))]


def entries(db: Database, id: str, since: int = 0) -> list[AnyEntry]:
    """Raises CorruptRecord."""
    found: list[AnyEntry] = []
    for _, checksum, data in db.execute("SELECT seq, checksum, entries FROM journal WHERE run = ? ORDER BY seq", (id,)):
        found.extend(unpack_entries(load(db, data), checksum))
    return found[since:]


def signals(db: Database, id: str, since: int) -> list[Signal]:
    rows = db.execute("SELECT seq, kind, body FROM signals WHERE run = ? AND seq > ? ORDER BY seq", (id, since))
    return [Signal(run=id, seq=seq, kind=kind, body=decode(load(db, body))) for seq, kind, body in rows]


def runs(db: Database, where: RunFilter, cursor: str | None, limit: int) -> Page:
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
    return Page(items=[_record(db, row) for row in chosen], next=str(chosen[-1][0]) if len(rows) > limit else None)


def events(db: Database, cursor: str | None, limit: int, type: str | None, invalid: bool) -> Page:
    clauses, values = [], []
    if invalid:
        clauses.append("invalid IS NOT NULL")
    if cursor is not None:
        clauses.append("seq < ?")
        values.append(int(cursor))
    if type is not None:
        clauses.append("type = ?")
        values.append(type)  # type: ignore[arg-type]
    condition = " WHERE " + " AND ".join(clauses) if clauses else ""
    rows = list(db.execute(f"{_EVENT}{condition} ORDER BY seq DESC LIMIT ?", (*values, limit + 1)))
    chosen = rows[:limit]
    return Page(items=[_stored(db, row) for row in chosen], next=str(chosen[-1][0]) if len(rows) > limit else None)


def queues(db: Database) -> list[QueueState]:
    rows = db.execute(
        "SELECT queue, count(*) FILTER (WHERE event IS NULL), min(at) FILTER (WHERE event IS NULL),"
        " count(*) FILTER (WHERE EXISTS (SELECT 1 FROM runs WHERE runs.event = queue.event AND ended IS NULL))"
        " FROM queue GROUP BY queue ORDER BY queue"
    )
    return [
        QueueState(name=name, waiting=waiting, oldest=oldest, active=active) for name, waiting, oldest, active in rows
    ]


def cursor_items(db: Database, source: str) -> dict[str, Any]:
    return {i: decode(v) for i, v in db.execute("SELECT item, value FROM cursors WHERE source = ?", (source,))}


def next_wake(db: Database) -> float | None:
    row = db.execute("SELECT min(due) FROM runs WHERE owner IS NULL AND due IS NOT NULL").fetchone()
    return None if row is None else row[0]


def counts(db: Database) -> dict[str, int]:
    found = dict(db.execute("SELECT status, count(*) FROM runs WHERE ended IS NULL GROUP BY status"))
    for table in ("events", "runs"):
        low, high = db.execute(f"SELECT min(seq), max(seq) FROM {table}").fetchone() or (None, None)
        found[table] = 0 if low is None else high - low + 1
    return found
