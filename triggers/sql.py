"""Rows of a database, asked for again and again."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.event import Event
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from reactor.kit.sql import Database, Dialect, Result, parse_statement
from triggers.kit.changes import source_fault

DIALECTS: tuple[Dialect, ...] = ("postgres", "mysql", "sqlite")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, mysql or sqlite, or its URL."""
    query: str
    """The query: `:name` for each column of `cursor` (`:cursor` when there is one), in the order of the cursor."""
    cursor: str | list[str] | None = None
    """The columns that tell how far it has read, such as [changed_at, id]: rows never go behind it."""
    start: Any = 0
    """The cursor before the first row: a value, or a list of them."""
    start_query: str | None = None
    """A query for the cursor before the first row, such as SELECT max(id) AS id FROM orders."""
    key: str | list[str] | None = None
    """The columns that tell one row from another, for a query without cursor: a row starts once in 72 hours."""
    after: str | None = None
    """Without cursor: a statement for each row, in the transaction of the query, once the events are durable."""
    every: str = "10s"
    """How long it waits when there was nothing more."""
    limit: int = 500
    """The most rows of one turn."""
    timeout: str = "30s"
    """A query that takes longer is cancelled."""

    @property
    def cursors(self) -> list[str]:
        return [self.cursor] if isinstance(self.cursor, str) else list(self.cursor or [])

    @property
    def keys(self) -> list[str]:
        return [self.key] if isinstance(self.key, str) else list(self.key or [])

    @property
    def starts(self) -> list[Any]:
        return list(self.start) if isinstance(self.start, list) else [self.start]


class Sql(TriggerKind[Options]):
    name = "sql"
    summary = "Rows of a database, asked for every so often: by a cursor, or claimed in a transaction."
    connection_kinds = ("postgres", "mysql", "sqlite")
    takes_messages = True
    example = (
        'sql: {connection: "postgresql://db/shop", query: "SELECT * FROM orders WHERE id > :cursor ORDER BY id",'
        " cursor: id}"
    )
    event_type = "sql.row"
    event_fields = ("row",)
    identity = True
    one_reader = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        for name in ("every", "timeout"):
            try:
                if not 0.05 <= parse_duration(getattr(options, name)) <= 86_400:
                    found.append((name, f"{name} is from 50ms to 24h"))
            except DurationError as error:
                found.append((name, str(error)))
        if not 1 <= options.limit <= 10_000:
            found.append(("limit", "limit is from 1 to 10,000"))
        asked = {name for dialect in DIALECTS for name in parse_statement(options.query, dialect).names}
        if options.cursors:
            allowed = {*options.cursors, "limit", *(["cursor"] if len(options.cursors) == 1 else [])}
            if options.after is not None or options.key is not None:
                found.append(("cursor", "cursor excludes key and after"))
            if not asked & (allowed - {"limit"}):
                found.append(
                    ("query", f"the query asks for nothing behind :{options.cursors[0]}; it would read all again")
                )
            if options.start_query is None and len(options.starts) != len(options.cursors):
                found.append(("start", f"start has a value for each of {', '.join(options.cursors)}"))
        else:
            allowed = {"limit"}
            if not options.keys:
                found.append(("cursor", "a query has a cursor, or the key of rows that it claims"))
        wrong = sorted(asked - allowed)
        if wrong:
            found.append(("query", f"there is no parameter :{wrong[0]}; there are {', '.join(sorted(allowed))}"))
        return found

    async def listen(self, ctx: TriggerContext) -> None:
        async with ctx.connection(self.options.connection) as database:
            try:
                await _Poll(ctx, database, self.options).run()
            except* (StepFailed, NotConnected, NotReady) as errors:
                raise source_fault("sql", errors) from None


class _Poll:
    def __init__(self, ctx: TriggerContext, database: Database, options: Options) -> None:
        self._ctx = ctx
        self._database = database
        self._options = options
        self._timeout = parse_duration(options.timeout)
        self._limit = options.limit
        """How many rows are claimed at once: fewer for a while, where so many do not fit into one result."""
        connection = options.connection
        self._source = "sql" if "://" in connection else f"sql:{connection}"

    async def run(self) -> None:
        options = self._options
        turn = self._read if options.cursors else self._claim
        if options.cursors:
            await self._begin()
        first = True
        while True:
            try:
                more = await turn()
                self._limit = options.limit
            except StepFailed as error:
                if error.type != "limit" or error.details.get("bytes") is None or self._limit == 1:
                    raise
                self._limit //= 2
                continue
            if first:
                await self._ctx.ready()
                first = False
            if not more:
                await self._ctx.clock.sleep(parse_duration(options.every))

    async def _begin(self) -> None:
        """The start is meant once."""
        options = self._options
        if "cursor" in await self._ctx.cursor():
            return
        values = options.starts
        if options.start_query is not None:
            async with self._database.session(self._timeout) as session, session.transaction(read_only=True):
                rows = (await session.run(options.start_query, limit=1)).rows
            if not rows or any(name not in rows[0] for name in options.cursors):
                raise NotReady(f"sql: start_query gives a row with {', '.join(options.cursors)}")
            values = [rows[0][name] for name in options.cursors]
            if None in values:
                values = options.starts
        await self._ctx.move({"cursor": values})

    async def _read(self) -> bool:
        """One turn by cursor; whether there may be more at once."""
        options = self._options
        at = (await self._ctx.cursor())["cursor"]
        params = {**dict(zip(options.cursors, at, strict=True)), "limit": options.limit}
        if len(at) == 1:
            params["cursor"] = at[0]
        async with self._database.session(self._timeout) as session, session.transaction(read_only=True):
            found = await session.run(options.query, params, options.limit, "stop")
        self._has(found, options.cursors, "the column of the cursor")
        full = found.more or len(found.rows) == options.limit
        if found.partial and len(options.cursors) > 1:
            found.rows.pop()
        known = [row for row in found.rows if _told(row, options.cursors)]
        last = known[-1] if known else None
        faults = self._faults(found, options.cursors, "of the cursor")
        rows = list(zip(found.rows, faults, strict=True))
        if full and last is not None and len(options.cursors) == 1:
            rows = _whole(rows, options.cursors[0], last)
            last = [row for row, _ in rows if _told(row, options.cursors)][-1]
        if rows:
            moved = []
            if last is not None:
                moved = [self._ctx.at("cursor", [last[name] for name in options.cursors])]
            await self._ctx.emit_many(self._events(rows), cursors=moved)
        return full and last is not None

    async def _claim(self) -> bool:
        """One turn that claims rows: committed after the events are durable. A crash between the two gives the same
        rows again, which `key` tells from new ones."""
        options = self._options
        async with self._database.session(self._timeout) as session, session.transaction():
            found = await session.run(options.query, {"limit": self._limit}, options.limit, "cut")
            if found.more:
                raise NotReady(f"sql: the query gave more than {options.limit} rows; end it with LIMIT :limit")
            self._has(found, options.keys, "of the key")
            if found.rows:
                faults = self._faults(found, options.keys, "of the key")
                await self._ctx.emit_many(self._events(list(zip(found.rows, faults, strict=True))))
            if options.after is not None:
                for row in found.rows:
                    await session.run(options.after, row)
        return len(found.rows) == self._limit

    def _has(self, found: Result, names: list[str], what: str) -> None:
        for name in names:
            if found.columns and name not in found.columns:
                raise NotReady(f"sql: a row has no {name}, {what}: the query does not give that column")

    def _faults(self, found: Result, names: list[str], what: str) -> list[str | None]:
        """Why each row is not an event: one datum stops nobody else's."""
        faults: list[str | None] = []
        for place, row in enumerate(found.rows):
            missing = [f"the row has no {name}, {what}" for name in names if row[name] is None]
            faults.append("; ".join([*missing, *filter(None, [found.faults.get(place)])]) or None)
        return faults

    def _events(self, rows: list[tuple[dict[str, Any], str | None]]) -> list[Event]:
        seen: dict[str, int] = {}
        events = []
        for row, fault in rows:
            told = {name: row[name] for name in self._options.keys if row[name] is not None} or row
            digest = hashlib.sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()
            number = seen[digest] = seen.get(digest, 0) + 1
            key = digest if number == 1 else f"{digest}/{number}"
            invalid = None
            if fault is not None:
                place = {name: row[name] for name in self._options.cursors or self._options.keys}
                invalid = f"{self._source} at {msgspec.json.encode(place).decode()}: {fault}"
            events.append(Event(type="sql.row", source=self._source, data=row, alias="row", key=key, invalid=invalid))
        return events


def _told(row: dict[str, Any], cursors: list[str]) -> bool:
    """Whether a row says how far it is: each column has a value, and is not text that only its bytes tell."""
    return all(row[name] is not None and f"{name}_bytes" not in row for name in cursors)


def _whole(
    rows: list[tuple[dict[str, Any], str | None]], column: str, end: dict[str, Any]
) -> list[tuple[dict[str, Any], str | None]]:
    """A full turn without its last value: the next turn has all rows of that, and so none is passed over."""
    last = end[column]
    kept = [(row, fault) for row, fault in rows if row[column] != last]
    if not any(_told(row, [column]) for row, _ in kept):
        raise NotReady(f"sql: {len(rows)} rows have the same {column}; add a second column to the cursor")
    return kept
