"""Follows a replication slot: transactions as they were committed, each position confirmed once it is durable."""

from __future__ import annotations

import contextlib
from collections import deque

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import psycopg2
import psycopg2.errors
from psycopg2.extras import ReplicationCursor, ReplicationMessage

from reactor.contracts.errors import NotReady, StepFailed, leading
from reactor.contracts.event import Event
from reactor.contracts.text import shown
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import parse_size
from reactor.kit.sql import Session, plain_row
from triggers.kit.acknowledge import Acknowledger
from triggers.kit.changes import Durable, Row, TableName, change_event, patterns
from triggers.postgres import pgoutput as wire
from triggers.postgres.lent import PostgresDatabase
from triggers.postgres.options import Options
from triggers.postgres.pgoutput import lsn_text
from triggers.postgres.publication import make_publication
from triggers.postgres.setup import (
    SLOT_QUERY,
    SLOW,
    Found,
    Server,
    check_server,
    drop_slot,
    find_tables,
    make_slot,
    slot_name,
)
from triggers.postgres.snapshot import Snapshot
from triggers.postgres.types import Convert, Types, learn

FEEDBACK = 1.0
"""Seconds between two confirmations."""
LOOK = 10.0
"""Seconds between two looks at what the slot holds back."""
AT_ONCE = 200
"""Messages read before others have a turn."""
ANCESTORS_QUERY = """
SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_partition_ancestors(:oid::int8::oid::regclass) a
JOIN pg_class c ON c.oid = a.relid JOIN pg_namespace n ON n.oid = c.relnamespace
"""


class Table(msgspec.Struct):
    """A table as the stream describes it at present."""

    name: TableName
    part: TableName
    """The partition that it is, else the same."""
    names: list[str]
    columns: list[tuple[str, Convert | None]]
    """The names as they are shown, and how the values are read."""
    keys: list[int]
    wanted: bool


class Stream:
    def __init__(self, ctx: TriggerContext, database: PostgresDatabase, options: Options) -> None:
        self._ctx = ctx
        self._database = database
        self._options = options
        self._slot = slot_name(ctx, options)
        self._tables: dict[int, Table] = {}
        self._types = Types()
        self._begin: wire.Begin | None = None
        self._index = 0
        self._durable = Durable[int]()
        self._acknowledger = Acknowledger(self._acknowledge)
        self._server = Server("", 0)
        self._publication = options.publication or self._slot
        self._given_up = False
        self._gap: str | None = None
        """What was lost before this listening began."""
        self._cursor: ReplicationCursor | None = None
        self.named: list[Found] = []
        self._schemas = {pattern.schema for pattern in patterns(options, "postgres") if pattern.name is None}
        self._snapshot: Snapshot | None = None

    async def run(self) -> None:
        ctx, options = self._ctx, self._options
        async with self._database.session(SLOW) as session:
            self._server = await check_server(session)
            self.named = await find_tables(session, options)
            await make_publication(session, self._publication, options, self._server)
            self._gap = await make_slot(ctx, session, self._slot, self._server.system, options)
        connection = await self._database.replicate(self._server.encoding)
        try:
            cursor = self._cursor = connection.cursor()
            quoted = '"' + self._publication.replace('"', '""') + '"'
            await anyio.to_thread.run_sync(self._start, cursor, quoted)
            if options.snapshot == "initial":
                self._snapshot = Snapshot(ctx, self._database, options, self._slot, self._types, self.named)
            async with anyio.create_task_group() as group:
                group.start_soon(self._acknowledger.run)
                group.start_soon(self._heartbeat)
                group.start_soon(self._watch)
                if self._snapshot is not None:
                    group.start_soon(self._snapshot.run)
                await ctx.ready()
                await self._follow(cursor)
        except* psycopg2.errors.UndefinedObject as errors:
            await self._without_publication(errors)
        finally:
            with contextlib.suppress(psycopg2.Error):
                self._feedback()
                connection.close()  # only here: nobody waits for its socket any more
            if self._given_up:
                with anyio.CancelScope(shield=True), anyio.move_on_after(SLOW):
                    async with self._database.session(SLOW) as session:
                        await drop_slot(session, self._slot)

    async def _without_publication(self, errors: BaseException) -> None:
        """The server reads the log with the publications of that time: what was written while there was none can never
        be read, also when it is made again."""
        error = leading(errors)
        if self._publication in str(error):
            await self._ctx.move({"lost": f"its publication {self._publication} was dropped"})
        raise NotReady(f"postgres: {str(error).strip()}")

    def _start(self, cursor: ReplicationCursor, publication: str) -> None:
        cursor.start_replication(
            slot_name=self._slot, decode=False, status_interval=3600,
            options={"proto_version": "1", "publication_names": publication, "messages": "true"},
        )  # fmt: skip

    async def _follow(self, cursor: ReplicationCursor) -> None:
        pending: deque[ReplicationMessage] = deque()
        while True:
            while len(pending) < AT_ONCE:
                message = cursor.read_message()
                if message is None:
                    break
                pending.append(message)
            if not pending:
                await anyio.wait_readable(cursor.fileno())  # type: ignore[no-untyped-call]
            while pending:
                await self._take(wire.decode(pending.popleft().payload))
            await anyio.lowlevel.checkpoint()

    async def _take(self, message: wire.Decoded) -> None:
        if isinstance(message, wire.Change):
            await self._change(message)
        elif isinstance(message, wire.Begin):
            self._begin, self._index = message, 0
        elif isinstance(message, wire.Commit):
            self._durable.mark(message.end)
            self._begin = None
        elif isinstance(message, wire.Relation):
            await self._relation(message)
        elif isinstance(message, wire.Truncate):
            for relation in message.relations:
                table = self._tables[relation]
                if self._snapshot is not None:
                    self._snapshot.truncated(table.name)
                await self._offer("truncate", table, None, None, [])
        elif isinstance(message, wire.Message) and message.prefix == self._slot and self._snapshot is not None:
            assert self._begin is not None
            await self._acknowledger.quiet()
            await self._snapshot.mark(message.content.decode(), self._begin)

    async def _relation(self, relation: wire.Relation) -> None:
        """The description of a table comes before its first change, and again whenever it differs."""
        oids = {column.oid for column in relation.columns}
        if self._types.missing(oids):
            async with self._database.session(SLOW) as session:
                await learn(session, self._types, oids)
        name, wanted = await self._named(relation)
        self._tables[relation.id] = Table(
            name, TableName(relation.schema, relation.name),
            [column.name for column in relation.columns],
            [(shown(column.name), self._types.convert(column.oid)) for column in relation.columns],
            [place for place, column in enumerate(relation.columns) if column.key], wanted,
        )  # fmt: skip

    async def _named(self, relation: wire.Relation) -> tuple[TableName, bool]:
        """The name under which a table's changes go, and whether they are wanted. A given publication may have a
        table's partitions each by itself: they go as the table."""
        name = TableName(relation.schema, relation.name)
        named = {found.table for found in self.named}
        if name in named:
            return name, True
        async with self._database.session(SLOW) as session:
            above = (await session.run(ANCESTORS_QUERY, {"oid": relation.id})).rows
        for row in above:
            if (ancestor := TableName(row["schema"], row["name"])) in named:
                return ancestor, True
        return name, relation.schema in self._schemas

    async def _change(self, change: wire.Change) -> None:
        table = self._tables[change.relation]
        if self._snapshot is not None:
            self._snapshot.changed(table.name, table.names, change.old, change.new)
        if not table.wanted:
            await self._offer(change.operation, table, None, None, [])
            return
        old = new = None
        unchanged: list[str] = []
        faults = []
        if change.old is not None:
            places = range(len(table.columns)) if change.whole else table.keys
            old, fault = plain_row([table.columns[at] for at in places], [_text(change.old[at]) for at in places])
            faults.append(fault)
        if change.new is not None:
            sent = [at for at, text in enumerate(change.new) if not isinstance(text, wire.Unchanged)]
            new, fault = plain_row([table.columns[at] for at in sent], [_text(change.new[at]) for at in sent])
            faults.append(fault)
            if len(sent) < len(table.columns):
                left_out = [name for at, (name, _) in enumerate(table.columns) if at not in sent]
                if change.whole and old is not None:
                    new = {name: new[name] if name in new else old[name] for name, _ in table.columns}
                else:
                    unchanged = left_out
        fault = "; ".join(dict.fromkeys(filter(None, faults))) or None
        await self._offer(change.operation, table, old, new, unchanged, fault)

    async def _offer(
        self,
        operation: str,
        table: Table,
        old: Row | None,
        new: Row | None,
        unchanged: list[str],
        fault: str | None = None,
    ) -> None:
        begin = self._begin
        assert begin is not None
        index = self._index
        self._index += 1
        if not table.wanted or operation not in self._options.operations:
            return
        position = lsn_text(begin.lsn)
        name = table.part if operation == "truncate" else table.name
        event: Event = change_event(
            "postgres", operation, name.written("postgres"), old, new, fault=fault, position=position,
            key=f"{self._server.system}/{position}/{index}", committed=begin.committed,
            transaction=begin.transaction, unchanged=unchanged,
        )  # fmt: skip
        self._durable.offered()
        await self._acknowledger.add(await self._ctx.offer(event), None)

    async def _acknowledge(self, done: list[None]) -> None:
        self._durable.done(len(done))

    def _feedback(self) -> None:
        """Tells the server what is durable here. When that is all that it has sent, psycopg2 (from 2.9) adds how far
        the server has looked, other tables' changes and silence included: a quiet table holds nothing back."""
        position = self._durable.safe or 0
        if self._cursor is not None:
            self._cursor.send_feedback(  # type: ignore[no-untyped-call]
                flush_lsn=position, apply_lsn=position, force=True
            )

    async def _heartbeat(self) -> None:
        while True:
            await self._ctx.clock.sleep(FEEDBACK)
            self._feedback()

    async def _watch(self) -> None:
        """What the slot holds back: shown, warned of at half of `max_lag`, given up beyond it. And whether a table was
        dropped and made again, which takes it out of the publication."""
        limit = parse_size(self._options.max_lag)
        while True:
            async with self._database.session(SLOW) as session:
                rows = (await session.run(SLOT_QUERY, {"slot": self._slot})).rows
                if not rows:
                    raise NotReady(f"postgres: the slot {self._slot} is gone")
                held = rows[0]["held"] or 0
                self._ctx.lag(held)
                if held > limit and self._options.slot is None:
                    reason = f"it held back {held / 1024**2:,.0f} MiB, more than max_lag {self._options.max_lag}"
                    await self._ctx.move({"lost": reason})
                    self._given_up = True
                    raise NotReady(f"postgres: the slot {self._slot} was given up: {reason}")
                warnings = [f"the slot {self._slot} holds back {held / 1024**2:,.0f} MiB of the server's log"]
                if held <= limit / 2:
                    warnings.clear()
                warnings += [self._gap] if self._gap else []
                warnings += await self._follow_tables(session)
                self._ctx.warn("; ".join(warnings) or None)
            await self._ctx.clock.sleep(LOOK)

    async def _follow_tables(self, session: Session) -> list[str]:
        """What to warn of."""
        try:
            await find_tables(session, self._options)
            added = await make_publication(session, self._publication, self._options, self._server)
        except (NotReady, StepFailed) as error:
            return [str(error)]
        return [f"{table} was made again: its changes until now were not seen" for table in added]


def _text(value: str | wire.Unchanged | None) -> str | None:
    return None if isinstance(value, wire.Unchanged) else value
