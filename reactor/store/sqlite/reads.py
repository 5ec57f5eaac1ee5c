"""Queries on one connection. Used by the readers, and by the writer inside its transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import Parent, RunRecord, Status
from reactor.contracts.store import Claim, Claimed, Page, QueueState, RunFilter, Signal
from reactor.store.codec import CorruptRecord, decode, decode_event, decode_verdicts, unpack_entries, unpack_environment
from reactor.store.sqlite.database import Database, load, load_or_say
from reactor.store.sqlite.unreadable import UNREADABLE, Raw, check, reason, repaired_event, repaired_run

_RUN_COLUMNS = (
    "id", "flow", "version", "event", "trigger", "status", "created", "started", "ended", "wake", "next_seq", "parent",
    "parent_path", "environment", "events", "output", "error", "response", "shift",
)  # fmt: skip
_EVENT_COLUMNS = ("id", "at", "origin", "flows", "invalid", "verdicts", "event")
_RUN = f"SELECT seq, {', '.join(_RUN_COLUMNS)} FROM runs"
_EVENT = f"SELECT seq, {', '.join(_EVENT_COLUMNS)} FROM events"


def _record(db: Database, row: Any) -> RunRecord:
    check((*row[1:7], *(value for value in row[12:14] if value is not None)), row[7:11])
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
        shift=row[19],
    )


def _stored(db: Database, row: Any, strict: bool = False) -> StoredEvent:
    check((row[1], row[3], row[4]), (row[2],))
    invalid = row[5]
    try:
        event = decode_event(load(db, row[7]))
    except CorruptRecord as error:
        if strict:
            raise
        db.met("events", row[0])
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


def _each(
    db: Database, table: str, columns: tuple[str, ...], condition: str, values: Any, build: Any, repair: Any
) -> list[tuple[int, Any]]:
    """Sequence number and value of each row. A row that cannot be read is replaced by what can be read of it; its
    neighbours are as they are."""
    sql = f"SELECT seq, {', '.join(columns)} FROM {table}"
    try:
        return [(row[0], build(db, row)) for row in db.execute(sql + condition, values)]
    except UNREADABLE:
        pass
    found = []
    for (seq,) in list(db.execute(f"SELECT seq FROM {table}{condition}", values)):
        try:
            value = build(db, next(iter(db.execute(f"{sql} WHERE seq = ?", (seq,)))))
        except UNREADABLE as error:
            value = repair(db, Raw(db, table, columns, "seq = ?", (seq,)), reason(error))
            db.met(table, seq)
        found.append((seq, value))
    return found


def run(db: Database, id: str, strict: bool = False) -> RunRecord | None:
    """With `strict`, raises CorruptRecord for one that cannot be read."""
    if strict:
        with _strict():
            row = db.execute(_RUN + " WHERE id = ?", (id,)).fetchone()
            return None if row is None else _record(db, row)
    found = _each(db, "runs", _RUN_COLUMNS, " WHERE id = ?", (id,), _record, repaired_run)
    return found[0][1] if found else None


def event(db: Database, id: str, strict: bool = False) -> StoredEvent | None:
    """With `strict`, raises CorruptRecord for one that cannot be read, or whose payload is lost."""
    if strict:
        with _strict():
            row = db.execute(_EVENT + " WHERE id = ?", (id,)).fetchone()
            return None if row is None else _stored(db, row, strict)
    found = _each(db, "events", _EVENT_COLUMNS, " WHERE id = ?", (id,), _stored, repaired_event)
    return found[0][1] if found else None


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise CorruptRecord(reason(error)) from None


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
    clauses: list[str] = []
    values: list[Any] = []
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
    found = _each(
        db, "runs", _RUN_COLUMNS, f"{condition} ORDER BY seq DESC LIMIT ?", (*values, limit + 1), _record, repaired_run
    )
    return _page(found, limit)


def _page(found: list[tuple[int, Any]], limit: int) -> Page:
    chosen = found[:limit]
    return Page(items=[item for _, item in chosen], next=str(chosen[-1][0]) if len(found) > limit else None)


def events(db: Database, cursor: str | None, limit: int, type: str | None, invalid: bool) -> Page:
    clauses: list[str] = []
    values: list[Any] = []
    if invalid:
        clauses.append("invalid IS NOT NULL")
    if cursor is not None:
        clauses.append("seq < ?")
        values.append(int(cursor))
    if type is not None:
        clauses.append("type = ?")
        values.append(type)
    condition = " WHERE " + " AND ".join(clauses) if clauses else ""
    condition += " ORDER BY seq DESC LIMIT ?"
    return _page(_each(db, "events", _EVENT_COLUMNS, condition, (*values, limit + 1), _stored, repaired_event), limit)


def queues(db: Database, waiting: dict[str, int]) -> list[QueueState]:
    """By name. How many messages wait is told without counting; looked at are those that have runs, and one that
    waits."""
    found = []
    for (name,) in list(db.execute(_QUEUES)):
        active = db.execute(
            "SELECT count(*) FROM queue WHERE queue = ? AND event IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM runs WHERE runs.event = queue.event AND ended IS NULL)",
            (name,),
        ).fetchone()
        first = db.execute(
            "SELECT at FROM queue WHERE queue = ? AND event IS NULL ORDER BY seq LIMIT 1", (name,)
        ).fetchone()
        assert active is not None
        oldest = first[0] if first is not None and isinstance(first[0], float) else None
        found.append(QueueState(name=name, waiting=waiting.get(name, 0), oldest=oldest, active=active[0]))
    return found


_QUEUES = """WITH RECURSIVE names(name) AS (
    SELECT CAST(min(queue) AS TEXT) FROM queue
    UNION ALL SELECT (SELECT min(queue) FROM queue WHERE queue > name) FROM names WHERE name IS NOT NULL
) SELECT name FROM names WHERE name IS NOT NULL"""


def cursor_items(db: Database, source: str) -> dict[str, Any]:
    """What can be read of a source's position."""
    found = {}
    for (item,) in list(db.execute("SELECT item FROM cursors WHERE source = ?", (source,))):
        try:
            row = db.execute("SELECT value FROM cursors WHERE source = ? AND item = ?", (source, item)).fetchone()
            found[item] = decode(row[0]) if row else None
        except UNREADABLE:
            db.met("cursors", f"{source} {item}")
    return found


def alone(db: apsw.Connection) -> str | None:
    """The run that is looked at alone now, because its claims were lost again and again."""
    row = db.execute("SELECT id FROM runs WHERE lost > 1 AND owner IS NOT NULL LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def next_wake(db: Database, ahead: float) -> float | None:
    free = "SELECT due FROM runs WHERE owner IS NULL AND due IS NOT NULL"
    found = [db.execute(f"{free} AND lost < 2 ORDER BY due LIMIT 1").fetchone()]
    if alone(db) is None:
        found.append(db.execute(f"{free} AND lost > 1 ORDER BY due LIMIT 1").fetchone())
    until = db.execute("SELECT min(until) FROM runs WHERE owner IS NULL AND until IS NOT NULL").fetchone()
    moments = [row[0] for row in found if row is not None]
    if until is not None and until[0] is not None:
        moments.append(until[0] - ahead)
    return min(moments, default=None)


def claimed(db: Database, claims: Sequence[Claim], held: Mapping[str, int]) -> list[tuple[Claim, Claimed | str]]:
    """What is needed to go on with each run, or why it cannot be read. The entries of those that are held are left
    out."""
    return [(claim, _claimed(db, claim, held)) for claim in claims]


def _claimed(db: Database, claim: Claim, held: Mapping[str, int]) -> Claimed | str:
    try:
        record = run(db, claim.run, strict=True)
        found = event(db, record.event, strict=True) if record is not None else None
        if record is None or found is None:
            return "its event is gone"
        merged = [event(db, other, strict=True) for other in record.events]
        return Claimed(
            claim=claim,
            record=record,
            event=found,
            events=[other for other in merged if other is not None],
            entries=None if held.get(claim.run) == record.next_seq else entries(db, claim.run),
            signals=signals(db, claim.run, 0),
        )
    except (CorruptRecord, *UNREADABLE) as error:
        return reason(error)


def totals(db: Database) -> dict[str, int]:
    """How many events and runs there are, by their sequence numbers."""
    found = {}
    for table in ("events", "runs"):
        low = db.execute(f"SELECT min(seq) FROM {table}").fetchone()
        high = db.execute(f"SELECT max(seq) FROM {table}").fetchone()
        found[table] = 0 if low is None or high is None or low[0] is None else high[0] - low[0] + 1
    return found


def counted(db: apsw.Connection) -> dict[str, int]:
    """Runs that have not ended by status, and messages that wait by queue: counted once, at the start."""
    found = {}
    for sql in (
        "SELECT CAST(status AS BLOB), count(*) FROM runs WHERE ended IS NULL GROUP BY status",
        "SELECT CAST('queue ' || queue AS BLOB), count(*) FROM queue WHERE event IS NULL GROUP BY queue",
    ):
        for name, count in db.execute(sql):
            found[bytes(name).decode("utf-8", "replace")] = int(str(count))
    return found
