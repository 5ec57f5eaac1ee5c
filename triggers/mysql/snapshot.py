"""The rows that were there before, read in chunks by primary key while the stream goes on. Each chunk is read at a
known position of the log; it goes out when the stream has come there, without the rows that the stream has changed
behind it. The position is committed with the rows, so that an interrupted snapshot goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from reactor.contracts.errors import NotReady
from reactor.contracts.trigger import TriggerContext
from reactor.kit.sql import Database, Session, quote_part
from triggers.kit.changes import Row, TableName, change_event
from triggers.mysql.options import Options
from triggers.mysql.position import Position
from triggers.mysql.rows import convert_asked
from triggers.mysql.setup import Server

COLUMNS_QUERY = """
SELECT c.column_name AS name, c.data_type AS type, k.ordinal_position AS place
FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k
  ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name
  AND k.constraint_name = 'PRIMARY'
WHERE c.table_schema = :schema AND c.table_name = :table
ORDER BY c.ordinal_position
"""


class Chunk:
    def __init__(self, table: TableName, keys: list[str]) -> None:
        self.table = table
        self.keys = keys
        self.rows: list[Row] = []
        self.whole: Position | None = None
        """What the rows have surely seen: the stream wins behind it."""
        self.until: Position | None = None
        """What the rows may have seen: they go out when the stream has come here."""
        self.at = 0.0
        self.touched: dict[tuple[Any, ...] | None, list[str]] = {}
        self.done = anyio.Event()


class Snapshot:
    def __init__(
        self,
        ctx: TriggerContext,
        database: Database,
        options: Options,
        server: Server,
        birth: str,
        tables: list[TableName],
    ) -> None:
        self._ctx = ctx
        self._birth = birth
        self._database = database
        self._options = options
        self._server = server
        self._tables = tables
        self._chunk: Chunk | None = None
        self._news = anyio.Event()

    async def run(self) -> None:
        position = await self._ctx.cursor()
        for table in self._tables:
            item = f"snapshot {table.written('mysql')}"
            after = position.get(item)
            while after != "done":
                after = await self._next(item, table, after)

    async def _next(self, item: str, table: TableName, after: list[Any] | None) -> Any:
        """One chunk; the new position."""
        async with self._database.session(60.0) as session:
            columns = (await session.run(COLUMNS_QUERY, {"schema": table.schema, "table": table.name})).rows
            keys = [c["name"] for c in sorted((c for c in columns if c["place"]), key=lambda c: int(c["place"]))]
            if not keys:
                name = table.written("mysql")
                raise NotReady(f"mysql: {name} has no primary key, which a snapshot is read by: snapshot: none")
            chunk = self._chunk = Chunk(table, keys)
            await session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            try:
                whole = await self._low(session)
                raw = (await session.run(*self._query(table, columns, keys, after), limit=10_000)).rows
                until = whole if self._server.maria else await self._low(session)
            except Exception:  # a statement that is cancelled costs the connection; after other faults it goes back
                with contextlib.suppress(Exception):
                    await session.run("COMMIT")
                raise
            await session.run("COMMIT")
        converts = {column["name"]: convert_asked(column["type"]) for column in columns}
        for row in raw:
            shown = {}
            for column, value in row.items():
                convert = converts.get(column)
                shown[column] = value if value is None or convert is None else convert(value)
            chunk.rows.append(shown)
        chunk.at = self._ctx.clock.now()
        last = [raw[-1][key] for key in keys] if raw else None
        chunk.whole, chunk.until = self._server.position(whole), self._server.position(until)
        self.moved()
        await chunk.done.wait()
        self._chunk = None
        if last is not None:
            await self._ctx.move({item: last})
        if len(raw) < self._options.batch:
            await self._ctx.move({item: "done"})
            return "done"
        return last

    async def _low(self, session: Session) -> str:
        """The position of the log at which the transaction sees the tables."""
        if self._server.maria:
            rows = (await session.run("SHOW STATUS LIKE 'binlog_snapshot_%'")).rows
            found = {row["Variable_name"].lower(): row["Value"] for row in rows}
            place = {"file": found["binlog_snapshot_file"], "position": int(found["binlog_snapshot_position"])}
            rows = (await session.run("SELECT BINLOG_GTID_POS(:file, :position) AS p", place)).rows
        else:
            rows = (await session.run(self._server.position_query)).rows
        return str(rows[0]["p"] or "")

    def _query(
        self, table: TableName, columns: list[Row], keys: list[str], after: list[Any] | None
    ) -> tuple[str, dict[str, Any]]:
        shown = ", ".join(quote_part(column["name"], "mysql") for column in columns)
        order = ", ".join(quote_part(key, "mysql") for key in keys)
        params: dict[str, object] = {"limit": self._options.batch}
        where = ""
        if after is not None:
            where = f"WHERE ({order}) > ({', '.join(f':k{place}' for place in range(len(keys)))}) "
            params |= {f"k{place}": value for place, value in enumerate(after)}
        return f"SELECT {shown} FROM {table.quoted('mysql')} {where}ORDER BY {order} LIMIT :limit", params

    def changed(self, table: TableName, gtid: str, old: Row | None, new: Row | None) -> None:
        """The stream has a change: behind the position of the chunk it wins over the row that was read."""
        chunk = self._chunk
        if chunk is not None and chunk.table == table:
            for values in (old, new):
                if values is not None:
                    chunk.touched.setdefault(tuple(values.get(key) for key in chunk.keys), []).append(gtid)

    def truncated(self, table: TableName, gtid: str) -> None:
        if self._chunk is not None and self._chunk.table == table:
            self._chunk.touched.setdefault(None, []).append(gtid)

    def moved(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def due(self, position: Position) -> None:
        """Returns when a chunk is there and the stream has come to it."""
        while self._chunk is None or self._chunk.until is None or not position.reaches(self._chunk.until):
            await self._news.wait()

    async def emit(self, quiet: Callable[[], Awaitable[None]]) -> None:
        chunk = self._chunk
        assert chunk is not None and chunk.whole is not None
        chunk.until = None
        await quiet()
        gone = any(not chunk.whole.has(gtid) for gtid in chunk.touched.get(None, ()))
        events = []
        for row in [] if gone else chunk.rows:
            key = tuple(row[name] for name in chunk.keys)
            if any(not chunk.whole.has(gtid) for gtid in chunk.touched.get(key, ())):
                continue
            text = "/".join(f"{len(str(part))}:{part}" for part in key)
            position, name = str(chunk.whole), chunk.table.written("mysql")
            events.append(change_event(
                "mysql", "insert", name, None, row, key=f"{self._birth}/snapshot/{name}/{text}",
                position=position, committed=chunk.at, transaction=None, snapshot=True,
            ))  # fmt: skip
        if events:
            await self._ctx.emit_many(events)
        chunk.done.set()
