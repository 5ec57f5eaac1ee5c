"""Follows the binary log: transactions as they were committed, the position kept once it is durable."""

from __future__ import annotations

import re
from typing import Any

import anyio

from reactor.contracts.durations import parse_size
from reactor.contracts.errors import NotConnected
from triggers._acknowledge import Acknowledger
from triggers._changes import Durable, change_event
from triggers._mysql_position import Position
from triggers._mysql_reader import Begin, Commit, Lost, Query, Reader, Rows
from triggers._mysql_rows import Convert, convert_logged
from triggers._mysql_setup import Server, begin, check_server, find_tables, server_id
from triggers._mysql_snapshot import Snapshot
from triggers._shared import first_of

KEEP = 1.0
"""Seconds between two positions that are kept."""
LOOK = 10.0
"""Seconds between two looks at how far behind the server's log it is."""
GONE = 1236
"""The server's error number for a position that its log has no more."""
_TRUNCATE = re.compile(r"\s*TRUNCATE\s+(?:TABLE\s+)?(?:`?([\w$-]+)`?\s*\.\s*)?`?([\w$-]+)`?", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)


class Stream:
    def __init__(self, ctx: Any, database: Any, options: Any) -> None:
        self._ctx = ctx
        self._database = database
        self._options = options
        self._acknowledger = Acknowledger(self._acknowledge)
        self._durable = Durable()
        self._birth = ""
        self._server = Server(True)
        self._position: Position
        self._kept = ""
        self._turn = anyio.Lock()
        """Held by whoever hands events over: stream or snapshot."""
        self._begin: Begin | None = None
        self._index = 0
        self._converts: dict[int, tuple[Any, list[tuple[str, Convert]]]] = {}
        self.named: list[str] = []
        self._snapshot: Snapshot | None = None

    async def run(self) -> None:
        ctx, options = self._ctx, self._options
        async with self._database.session(60.0) as session:
            self._server = await check_server(session)
            self.named = await find_tables(session, options, self._database.database)
            self._kept, self._birth = await begin(ctx, session, self._server)
        self._position = self._server.position(self._kept)
        schemas = sorted({name.partition(".")[0] for name in [*self.named, *options.tables] if "." in name})
        reader = Reader(
            self._database.kind.settings(), server_id(ctx, options), self._kept, self._server.maria, schemas
        )  # fmt: skip
        if options.snapshot == "initial":
            self._snapshot = Snapshot(ctx, self._database, options, self._server, self._birth, self.named)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                group.start_soon(self._acknowledger.run)
                group.start_soon(self._keep_often)
                group.start_soon(self._watch, reader)
                if self._snapshot is not None:
                    group.start_soon(self._snapshot.run)
                    group.start_soon(self._hand_over)
                await ctx.ready()
                await self._follow(reader)
        except* Lost as errors:
            await self._lost(errors)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await self._keep()

    async def _lost(self, errors: BaseException) -> None:
        error = first_of(errors)
        assert isinstance(error, Lost)
        if error.code != GONE:
            raise NotConnected(f"mysql: {error}")
        if self._options.after_loss == "restart":
            await self._ctx.move(dict.fromkeys(await self._ctx.cursor()))
            self._kept = ""
            raise NotConnected(f"mysql: {error}; it begins anew")
        raise NotConnected(
            f"mysql: the log has no more what follows {self._kept or 'its beginning'}, so changes are lost; after_loss:"
            f" restart goes on from now ({error})"
        )

    async def _follow(self, reader: Reader) -> None:
        while True:
            items = await reader.next()
            async with self._turn:
                for item in items:
                    await self._take(item)

    async def _take(self, item: Any) -> None:
        if isinstance(item, Rows):
            await self._rows(item)
        elif isinstance(item, Begin):
            self._end()
            self._begin, self._index = item, 0
        elif isinstance(item, Commit):
            self._end()
        elif isinstance(item, Query):
            await self._query(item)

    def _end(self) -> None:
        """The transaction is whole."""
        if self._begin is not None:
            self._position.add(self._begin.gtid)
            self._begin = None
            self._durable.mark(str(self._position))
            if self._snapshot is not None:
                self._snapshot.moved()

    async def _query(self, query: Query) -> None:
        if _END.match(query.text):
            self._end()
            return
        match = _TRUNCATE.match(query.text)
        if match:
            table = f"{match.group(1) or query.schema}.{match.group(2)}"
            if self._snapshot is not None and self._begin is not None:
                self._snapshot.truncated(table, self._begin.gtid)
            await self._offer("truncate", table, None, None, [])
        if self._begin is not None and self._begin.alone:
            self._end()

    async def _rows(self, item: Rows) -> None:
        table = f"{item.schema}.{item.table}"
        if not self._wanted(table):
            return
        columns = self._columns(item)
        for row in item.rows:
            old = new = None
            unchanged: list[str] = []
            if item.operation == "update":
                old, _ = _plain(row["before_values"], row["before_none_sources"], columns)
                new, unchanged = _plain(row["after_values"], row["after_none_sources"], columns)
            elif item.operation == "insert":
                new, unchanged = _plain(row["values"], row["none_sources"], columns)
            else:
                old, _ = _plain(row["values"], row["none_sources"], columns)
            if self._snapshot is not None and self._begin is not None:
                self._snapshot.changed(table, self._begin.gtid, old, new)
            await self._offer(item.operation, table, old, new, unchanged)

    def _columns(self, item: Rows) -> list[tuple[str, Convert]]:
        """How each column is read: worked out once for each description of the table."""
        known = self._converts.get(id(item.columns))
        if known is None or known[0] is not item.columns:
            if len(self._converts) > 500:
                self._converts.clear()
            known = (item.columns, [(column.name, convert_logged(column.type)) for column in item.columns])
            self._converts[id(item.columns)] = known
        return known[1]

    def _wanted(self, table: str) -> bool:
        return table in self.named or f"{table.partition('.')[0]}.*" in self._options.tables

    async def _offer(self, operation: str, table: str, old: Any, new: Any, unchanged: list[str]) -> None:
        begin = self._begin
        if begin is None:
            raise NotConnected("mysql: a change came without a transaction")
        index = self._index
        self._index += 1
        if operation not in self._options.operations or not self._wanted(table):
            return
        event = change_event(
            "mysql", operation, table, old, new, key=f"{self._birth}/{begin.gtid}/{index}", position=begin.gtid,
            committed=begin.at, transaction=begin.gtid, unchanged=unchanged,
        )  # fmt: skip
        self._durable.offered()
        await self._acknowledger.add(await self._ctx.offer(event), None)

    async def _acknowledge(self, done: list[Any]) -> None:
        self._durable.done(len(done))

    async def _keep(self) -> None:
        """The position moves only over what is durable; a quiet table moves it too, so that it never falls out of the
        server's log."""
        safe = self._durable.safe
        if safe is not None and safe != self._kept and self._kept:
            await self._ctx.move({"gtid": safe})
            self._kept = safe

    async def _keep_often(self) -> None:
        while True:
            await self._ctx.clock.sleep(KEEP)
            await self._keep()

    async def _hand_over(self) -> None:
        """A chunk of the snapshot goes out where the stream has come to it."""
        snapshot = self._snapshot
        assert snapshot is not None
        while True:
            await snapshot.due(self._position)
            async with self._turn:
                await snapshot.emit(self._acknowledger.quiet)

    async def _watch(self, reader: Reader) -> None:
        """Bytes of log that it is behind, over the server's files."""
        limit = parse_size(self._options.max_lag)
        while True:
            place = reader.place()
            if place is not None:
                async with self._database.session(60.0) as session:
                    logs = (await session.run("SHOW BINARY LOGS")).rows
                behind = sum(int(log["File_size"]) for log in logs if log["Log_name"] >= place.file) - place.position
                self._ctx.lag(max(behind, 0))
                warning = f"it is {behind / 1024**2:,.0f} MiB of the server's log behind"
                self._ctx.warn(warning if behind > limit else None)
            await self._ctx.clock.sleep(LOOK)


def _plain(
    values: dict[str, Any], sources: dict[str, str], columns: list[tuple[str, Convert]]
) -> tuple[dict[str, Any], list[str]]:
    """A row, and the columns that the log does not have (binlog_row_image). `sources` says why a value is None."""
    found: dict[str, Any] = {}
    left_out = []
    for name, convert in columns:
        value = values[name]
        if value is not None:
            found[name] = convert(value)
        elif sources.get(name) == "cols bitmap":
            left_out.append(name)
        else:
            found[name] = [] if sources.get(name) == "empty set" else None
    return found, left_out
