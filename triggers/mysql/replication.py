"""Follows the binary log: transactions as they were committed, the position kept once it is durable."""

from __future__ import annotations

import re

import anyio

from reactor.contracts.errors import NotReady, StepFailed, leading
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import parse_size
from triggers.kit.acknowledge import Acknowledger
from triggers.kit.changes import Durable, Row, TableName, change_event, patterns
from triggers.mysql.charsets import Charsets
from triggers.mysql.lent import MysqlDatabase
from triggers.mysql.options import Options
from triggers.mysql.position import Position
from triggers.mysql.reader import Item, Lost, Reader
from triggers.mysql.rows import Reading, Rows, check_form, reading
from triggers.mysql.setup import Declared, Server, begin, check_server, declared_types, find_tables, server_id
from triggers.mysql.snapshot import Snapshot
from triggers.mysql.table import read_columns
from triggers.mysql.wire import Begin, Commit, Prepared, Query

KEEP = 1.0
"""Seconds between two positions that are kept."""
LOOK = 10.0
"""Seconds between two looks at the server: how far behind its log it is, what is set, which tables are there."""
SLOW = 60.0
GONE = 1236
"""The server's error number for a position that its log has no more, and for some faults that a new try may heal."""
_PASSING = re.compile(r"same server_(uuid|id)|max_allowed_packet|event exceeded", re.IGNORECASE)
_COMMENT = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*", re.DOTALL)
_NAME = r"(`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\w$-]+)"
_TRUNCATE = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?(?:{_NAME}\s*\.\s*)?{_NAME}", re.IGNORECASE)
_END = re.compile(r"(COMMIT|ROLLBACK)\b", re.IGNORECASE)
_XA = re.compile(r"XA\s+(START|BEGIN|END|COMMIT|ROLLBACK)\s+(.*?)\s*(ONE\s+PHASE)?\s*$", re.IGNORECASE | re.DOTALL)


class Stream:
    def __init__(self, ctx: TriggerContext, database: MysqlDatabase, options: Options) -> None:
        self._ctx = ctx
        self._database = database
        self._options = options
        self._acknowledger = Acknowledger(self._acknowledge)
        self._durable = Durable[str]()
        self._birth = ""
        self._server = Server(True)
        self._position: Position
        self._kept = ""
        self._turn = anyio.Lock()
        """Held by whoever hands events over: stream or snapshot."""
        self._begin: Begin | None = None
        self._index = 0
        self._held: list[Rows] | None = None
        """Rows of an XA transaction, until it is known how it ends."""
        self._xid = ""
        self._prepared: dict[str, list[Rows]] = {}
        """XA transactions that wait for their outcome. Meanwhile the position stays before them: a restart reads them
        again."""
        self._charsets = Charsets()
        self._looked = 0.0
        self._gap: str | None = None
        """What was lost before this listening began."""
        self.named: list[TableName] = []
        self._schemas = {
            pattern.schema or database.database for pattern in patterns(options, "mysql") if pattern.name is None
        }
        self._snapshot: Snapshot | None = None

    async def run(self) -> None:
        ctx, options = self._ctx, self._options
        async with self._database.session(SLOW) as session:
            self._server = await check_server(session)
            self.named = await find_tables(session, options, self._database.database)
            await self._charsets.learn(session)
            self._kept, self._birth, self._gap = await begin(ctx, session, self._server)
        self._position = self._server.position(self._kept)
        reader = Reader(
            self._database.kind.settings(), server_id(ctx, options), self._kept, self._server.maria, self._wanted,
            self._describe,
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
        error = leading(errors)
        assert isinstance(error, Lost)
        if error.code != GONE or _PASSING.search(str(error)):
            raise NotReady(f"mysql: {error}")
        if self._options.after_loss == "restart":
            lost = self._kept or "its beginning"
            await self._ctx.move({**dict.fromkeys(await self._ctx.cursor()), "lost": lost})
            self._kept = ""
            raise NotReady(f"mysql: {error}; it begins anew")
        raise NotReady(
            f"mysql: the log has no more what follows {self._kept or 'its beginning'}, so changes are lost; after_loss:"
            f" restart goes on from now ({error})"
        )

    async def _follow(self, reader: Reader) -> None:
        while True:
            items = await reader.next()
            async with self._turn:
                for item in items:
                    await self._take(item)

    async def _take(self, item: Item) -> None:
        if isinstance(item, Rows):
            await self._rows(item)
        elif isinstance(item, Begin):
            self._end()
            self._begin, self._index = item, 0
            self._held = [] if item.prepared else None
        elif isinstance(item, Commit):
            self._end()
        elif isinstance(item, Query):
            await self._query(item)
        elif isinstance(item, Prepared):
            held, self._held = self._held or [], None
            if item.one_phase:
                await self._release(held)
            else:
                self._prepared[self._xid] = held
            self._end()

    def _end(self) -> None:
        """The transaction is whole."""
        if self._begin is not None:
            self._position.add(self._begin.gtid)
            self._begin = None
            if not self._prepared:
                self._durable.mark(str(self._position))
            if self._snapshot is not None:
                self._snapshot.moved()

    async def _query(self, query: Query) -> None:
        text = query.text[_match_end(query.text) :]
        if _END.match(text):
            self._end()
            return
        xa = _XA.match(text)
        if xa is not None:
            await self._xa(xa[1].upper(), xa[2])
            return
        match = _TRUNCATE.match(text)
        if match:
            table = TableName(_bare(match[1]) if match[1] else query.schema, _bare(match[2]))
            if self._snapshot is not None and self._begin is not None:
                self._snapshot.truncated(table, self._begin.gtid)
            await self._offer("truncate", table, None, None, [])
        if self._begin is not None and self._begin.alone:
            self._end()

    async def _xa(self, verb: str, xid: str) -> None:
        """Only what is committed is an event: the outcome of a transaction that was prepared is one of its own."""
        if verb in ("START", "BEGIN", "END"):  # MariaDB names it at its end only
            self._xid = xid
            self._held = self._held or []
            return
        held = self._prepared.pop(xid, None) or self._held or []
        self._held = None
        if verb == "COMMIT":
            await self._release(held)
        self._end()

    async def _release(self, held: list[Rows]) -> None:
        for rows in held:
            await self._changes(rows)

    async def _rows(self, rows: Rows) -> None:
        if rows.compressed:
            await self._compressed()
        if self._held is not None:
            self._held.append(rows)
        else:
            await self._changes(rows)

    async def _changes(self, rows: Rows) -> None:
        for change in rows.changes:
            if self._snapshot is not None and self._begin is not None:
                self._snapshot.changed(rows.table, self._begin.gtid, change.old, change.new)
            await self._offer(rows.operation, rows.table, change.old, change.new, change.unchanged, change.fault)

    async def _compressed(self) -> None:
        """The log was compressed behind our back: refused as at the start. What was written so before it was switched
        off again is read."""
        now = self._ctx.clock.monotonic()
        if not self._looked or now - self._looked > LOOK:
            async with self._database.session(SLOW) as session:
                await check_server(session)
            self._looked = now

    async def _describe(self, table: TableName, body: bytes) -> list[Reading]:
        """How the rows of a table are read, whose columns the log describes so."""
        try:
            columns = read_columns(body, self._server.maria)
            async with self._database.session(SLOW) as session:
                declared = await declared_types(session, table)
                decodes = [await self._charsets.decode(session, column.collation) for column in columns]
            found = [declared.get(column.name, Declared()) for column in columns]
            for column, one in zip(columns, found, strict=True):
                check_form(column, one.digits)
            return [
                reading(column, one.type, decode) for column, one, decode in zip(columns, found, decodes, strict=True)
            ]
        except ValueError as error:
            raise NotReady(f"mysql: the changes of {table.written('mysql')} cannot be read: {error}") from None

    def _wanted(self, table: TableName) -> bool:
        return table in self.named or table.schema in self._schemas

    async def _offer(
        self,
        operation: str,
        table: TableName,
        old: Row | None,
        new: Row | None,
        unchanged: list[str],
        fault: str | None = None,
    ) -> None:
        begin = self._begin
        if begin is None:
            raise NotReady("mysql: a change came without a transaction")
        index = self._index
        self._index += 1
        if operation not in self._options.operations or not self._wanted(table):
            return
        event = change_event(
            "mysql", operation, table.written("mysql"), old, new, key=f"{self._birth}/{begin.gtid}/{index}",
            position=begin.gtid, committed=begin.at, transaction=begin.gtid, unchanged=unchanged, fault=fault,
        )  # fmt: skip
        self._durable.offered()
        await self._acknowledger.add(await self._ctx.offer(event), None)

    async def _acknowledge(self, done: list[None]) -> None:
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
        """Bytes of log that it is behind, over the server's files; what was set otherwise; tables that are gone."""
        limit = parse_size(self._options.max_lag)
        while True:
            warnings = [self._gap] if self._gap else []
            async with self._database.session(SLOW) as session:
                await check_server(session)
                place = reader.place()
                if place is not None:
                    logs = (await session.run("SHOW BINARY LOGS")).rows
                    behind = sum(int(log["File_size"]) for log in logs if log["Log_name"] >= place.file)
                    behind = max(behind - place.position, 0)
                    self._ctx.lag(behind)
                    if behind > limit:
                        warnings.append(f"it is {behind / 1024**2:,.0f} MiB of the server's log behind")
                try:
                    self.named = await find_tables(session, self._options, self._database.database)
                except (NotReady, StepFailed) as error:
                    warnings.append(str(error))
            if self._prepared:
                warnings.append(f"{len(self._prepared)} prepared XA transactions wait for their outcome")
            self._ctx.warn("; ".join(warnings) or None)
            await self._ctx.clock.sleep(LOOK)


def _match_end(text: str) -> int:
    match = _COMMENT.match(text)
    return match.end() if match else 0


def _bare(name: str) -> str:
    """A name of a statement without its quotes."""
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in '`"' else name
