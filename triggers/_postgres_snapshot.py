"""The rows that were there before, read in chunks by primary key while the stream goes on. A mark is written into the
log before and behind each chunk; a row that the stream changes between the two is left to the stream (the watermarks
of Netflix' DBLog, 2019). The position is committed with the rows, so that an interrupted snapshot goes on. The log may
bring marks of an earlier life again: each life has marks of its own."""

from __future__ import annotations

import re
import secrets
from typing import Any

import anyio

from reactor.contracts.errors import NotConnected
from reactor.contracts.sql import quote_name
from triggers import _pgoutput as wire
from triggers._changes import change_event
from triggers._pgoutput import lsn_text
from triggers._pgtypes import TYPES_QUERY, Types

COLUMNS_QUERY = """
SELECT a.attname::text AS name, a.atttypid::int8 AS oid, format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(array_position(i.indkey::int2[], a.attnum), -1) AS place
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = :table::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""


class Chunk:
    def __init__(self, name: str, table: str) -> None:
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
    def __init__(self, ctx: Any, database: Any, options: Any, slot: str, types: Types, tables: list[str]) -> None:
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
            item = f"snapshot {table}"
            after = position.get(item)
            while after != "done":
                after = await self._next(item, table, after)

    async def _next(self, item: str, table: str, after: list[str] | None) -> Any:
        """One chunk; the new position."""
        self._number += 1
        chunk = Chunk(f"{self._life}/{self._number}", table)
        async with self._database.session(60.0) as session:
            columns = (await session.run(COLUMNS_QUERY, {"table": quote_name(table, "postgres")})).rows
            keys = sorted((c for c in columns if c["place"] >= 0), key=lambda column: int(column["place"]))
            if not keys:
                raise NotConnected(f"postgres: {table} has no primary key, which a snapshot is read by: snapshot: none")
            chunk.keys = [column["name"] for column in keys]
            chunk.oids = {column["name"]: column["oid"] for column in columns}
            asked = self._types.missing(set(chunk.oids.values()))
            while asked:
                asked = self._types.learn((await session.run(TYPES_QUERY, {"oids": asked})).rows, asked)
            self._chunk = chunk
            await self._write(session, f"low {chunk.name}")
            chunk.rows = (await session.run(*self._query(table, columns, keys, after), limit=10_000)).rows
            await self._write(session, f"high {chunk.name}")
        await chunk.done.wait()
        self._chunk = None
        if len(chunk.rows) < self._options.batch:
            await self._ctx.move({item: "done"})
            return "done"
        return [chunk.rows[-1][name] for name in chunk.keys]

    async def _write(self, session: Any, mark: str) -> None:
        await session.run(
            "SELECT pg_logical_emit_message(true, :slot, :mark::text)", {"slot": self._slot, "mark": mark}
        )

    def _query(self, table: str, columns: Any, keys: Any, after: list[str] | None) -> tuple[str, dict[str, Any]]:
        def quoted(name: str) -> str:
            return quote_name(name.replace(".", "\0"), "postgres").replace("\0", ".")

        shown = ", ".join(f"{quoted(column['name'])}::text AS {quoted(column['name'])}" for column in columns)
        order = ", ".join(quoted(column["name"]) for column in keys)
        params: dict[str, Any] = {"limit": self._options.batch}
        where = ""
        if after is not None:
            marks = ", ".join(f":k{place}::text::{_safe(column['type'])}" for place, column in enumerate(keys))
            where = f"WHERE ({order}) > ({marks}) "
            params |= {f"k{place}": value for place, value in enumerate(after)}
        order = ", ".join(f"{quote_name(table, 'postgres')}.{quoted(column['name'])}" for column in keys)
        return f"SELECT {shown} FROM {quote_name(table, 'postgres')} {where}ORDER BY {order} LIMIT :limit", params

    def changed(self, table: str, columns: list[str], old: wire.Values | None, new: wire.Values | None) -> None:
        """The stream has a change: between the marks it wins over the row that was read."""
        chunk = self._chunk
        if chunk is None or not chunk.begun or chunk.table != table:
            return
        for values in (old, new):
            if values is not None:
                named = dict(zip(columns, values, strict=True))
                key = tuple(value if isinstance(value := named.get(name), str) else None for name in chunk.keys)
                chunk.touched.add(key)

    def truncated(self, table: str) -> None:
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
        for row in rows:
            parts = "/".join(f"{len(str(row[name]))}:{row[name]}" for name in chunk.keys)
            key = f"{self._slot}/{self._since}/snapshot/{chunk.table}/{parts}"
            new = {name: _plain(self._types, chunk.oids[name], text) for name, text in row.items()}
            events.append(change_event(
                "postgres", "insert", chunk.table, None, new, key=key,
                position=position, committed=begin.committed, transaction=begin.transaction, snapshot=True,
            ))  # fmt: skip
        if chunk.rows:
            after = [chunk.rows[-1][name] for name in chunk.keys]
            cursors = [self._ctx.at(f"snapshot {chunk.table}", after)]
            if events:
                await self._ctx.emit_many(events, cursors=cursors)
            else:
                await self._ctx.move({f"snapshot {chunk.table}": after})
        chunk.done.set()


def _plain(types: Types, oid: int, text: str | None) -> Any:
    convert = types.convert(oid)
    return text if text is None or convert is None else convert(text)


def _safe(type: str) -> str:
    """The server's own words for a type, as it gave them."""
    if not re.fullmatch(r"[A-Za-z0-9_ ().,\"\[\]$]+", type):
        raise NotConnected(f"postgres: a key of the type {type} cannot be read by")
    return type
