"""The rows that were there before, read in chunks by primary key while the stream goes on. A mark is written into the
log before and behind each chunk; a row that the stream changes between the two is left to the stream (the watermarks
of Netflix' DBLog, 2019). The position is committed with the rows, so that an interrupted snapshot goes on. The log may
bring marks of an earlier life again: each life has marks of its own."""

from __future__ import annotations

import secrets

import anyio

from reactor.contracts.errors import NotReady
from reactor.contracts.text import shown
from reactor.contracts.trigger import TriggerContext
from reactor.kit.sql import Session, plain_row, quote_part
from triggers.kit.changes import Row, TableName, change_event
from triggers.postgres import pgoutput as wire
from triggers.postgres.lent import PostgresDatabase
from triggers.postgres.options import Options
from triggers.postgres.pgoutput import lsn_text
from triggers.postgres.setup import Found
from triggers.postgres.types import Types, learn

COLUMNS_QUERY = """
SELECT a.attname::text AS name, a.atttypid::int8 AS oid, format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(array_position(i.indkey::int2[], a.attnum), -1) AS place
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = :table::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""


class Chunk:
    def __init__(self, name: str, table: TableName) -> None:
        self.name = name
        self.table = table
        self.keys: list[str] = []
        self.rows: list[dict[str, str | None]] = []
        self.oids: dict[str, int] = {}
        self.begun = False
        self.emptied = False
        self.touched: set[tuple[str | None, ...]] = set()
        self.done = anyio.Event()


class Snapshot:
    def __init__(
        self,
        ctx: TriggerContext,
        database: PostgresDatabase,
        options: Options,
        slot: str,
        types: Types,
        tables: list[Found],
    ) -> None:
        self._ctx = ctx
        self._database = database
        self._options = options
        self._slot = slot
        self._types = types
        self._tables = tables
        self._chunk: Chunk | None = None
        self._life = secrets.token_hex(8)
        self._number = 0
        self._since = ""

    async def run(self) -> None:
        position = await self._ctx.cursor()
        self._since = position["slot"]["since"]
        for table in self._tables:
            item = f"snapshot {table.table.written('postgres')}"
            after = position.get(item)
            while after != "done":
                after = await self._next(item, table, after)

    async def _next(self, item: str, found: Found, after: list[str | None] | None) -> list[str | None] | str:
        """One chunk; the new position."""
        self._number += 1
        table = found.table
        chunk = Chunk(f"{self._life}/{self._number}", table)
        async with self._database.session(60.0) as session:
            columns = (await session.run(COLUMNS_QUERY, {"table": table.quoted("postgres")})).rows
            for column in columns:
                if "name_bytes" in column:
                    raise NotReady(f"postgres: the name of the column {column['name']} is not UTF-8: snapshot: none")
            keys = sorted((c for c in columns if c["place"] >= 0), key=lambda column: int(column["place"]))
            if not keys:
                name = table.written("postgres")
                raise NotReady(f"postgres: {name} has no primary key, which a snapshot is read by: snapshot: none")
            chunk.keys = [column["name"] for column in keys]
            chunk.oids = {column["name"]: column["oid"] for column in columns}
            await learn(session, self._types, set(chunk.oids.values()))
            self._chunk = chunk
            await self._write(session, f"low {chunk.name}")
            chunk.rows = await session.texts(*self._query(found, columns, keys, after))
            await self._write(session, f"high {chunk.name}")
        await chunk.done.wait()
        self._chunk = None
        if len(chunk.rows) < self._options.batch:
            await self._ctx.move({item: "done"})
            return "done"
        return [chunk.rows[-1][name] for name in chunk.keys]

    async def _write(self, session: Session, mark: str) -> None:
        await session.run(
            "SELECT pg_logical_emit_message(true, :slot, :mark::text)", {"slot": self._slot, "mark": mark}
        )

    def _query(
        self, found: Found, columns: list[Row], keys: list[Row], after: list[str | None] | None
    ) -> tuple[str, dict[str, object]]:
        """The columns bare, so that each value is written by its type's own output function, as in the stream: a cast
        to text is another function, which writes true for t, a /32 behind an address, and cuts the blanks of char."""
        wanted = ", ".join(quote_part(column["name"], "postgres") for column in columns)
        order = ", ".join(quote_part(column["name"], "postgres") for column in keys)
        params: dict[str, object] = {"limit": self._options.batch}
        where = ""
        if after is not None:
            marks = ", ".join(f":k{place}::text::{column['type']}" for place, column in enumerate(keys))
            where = f"WHERE ({order}) > ({marks}) "
            params |= {f"k{place}": value for place, value in enumerate(after)}
        return f"SELECT {wanted} FROM {found.source} {where}ORDER BY {order} LIMIT :limit::bigint", params

    def changed(self, table: TableName, columns: list[str], old: wire.Values | None, new: wire.Values | None) -> None:
        """The stream has a change: between the marks it wins over the row that was read."""
        chunk = self._chunk
        if chunk is None or not chunk.begun or chunk.table != table:
            return
        for values in (old, new):
            if values is not None:
                named = dict(zip(columns, values, strict=True))
                key = tuple(value if isinstance(value := named.get(name), str) else None for name in chunk.keys)
                chunk.touched.add(key)

    def truncated(self, table: TableName) -> None:
        if self._chunk is not None and self._chunk.begun and self._chunk.table == table:
            self._chunk.emptied = True

    async def mark(self, text: str, begin: wire.Begin) -> None:
        """A mark of ours has come by; behind a chunk, its rows are handed over, with the position."""
        word, _, name = text.partition(" ")
        chunk = self._chunk
        if chunk is None or name != chunk.name:
            return
        if word == "low":
            chunk.begun = True
            return
        rows = [] if chunk.emptied else [r for r in chunk.rows if tuple(r[k] for k in chunk.keys) not in chunk.touched]
        position = lsn_text(begin.lsn)
        events = []
        table = chunk.table.written("postgres")
        columns = [(shown(name), self._types.convert(oid)) for name, oid in chunk.oids.items()]
        for row in rows:
            parts = "/".join(f"{len(str(row[name]))}:{row[name]}" for name in chunk.keys)
            new, fault = plain_row(columns, row.values())
            events.append(change_event(
                "postgres", "insert", table, None, new, key=f"{self._slot}/{self._since}/snapshot/{table}/{parts}",
                position=position, committed=begin.committed, transaction=begin.transaction, snapshot=True, fault=fault,
            ))  # fmt: skip
        if chunk.rows:
            after = [chunk.rows[-1][name] for name in chunk.keys]
            cursors = [self._ctx.at(f"snapshot {table}", after)]
            if events:
                await self._ctx.emit_many(events, cursors=cursors)
            else:
                await self._ctx.move({f"snapshot {table}": after})
        chunk.done.set()
