"""Changes of PostgreSQL tables, out of its write-ahead log; and notifications."""

from __future__ import annotations

import re

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.event import Event
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_size
from triggers.kit.changes import CHANGE_FIELDS, common_problems, source_fault
from triggers.kit.decode import decode
from triggers.postgres.options import NotifyOptions, Options

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
_SLOT = re.compile(r"[a-z0-9_]{1,63}")
BUFFER = 1000
"""Notifications that may wait here; the server keeps none for us."""


class Postgres(TriggerKind[Options]):
    name = "postgres"
    summary = "Inserts, updates, deletes and truncates of PostgreSQL tables, in order of their commits."
    connection_kinds = ("postgres",)
    takes_messages = True
    example = 'postgres: {connection: "postgresql://db.example/shop", tables: [public.orders], operations: [insert]}'
    event_type = "row.*"
    identity = True
    event_fields = CHANGE_FIELDS
    retires = True
    one_reader = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = common_problems(options, "postgres", "public.orders", "a schema, public.*")
        for name in ("slot", "publication"):
            value = getattr(options, name)
            if value is not None and not _SLOT.fullmatch(value):
                found.append((name, f"{value!r} is no name: lower-case letters, digits and _, at most 63"))
        try:
            if parse_size(options.max_lag) < 1024**2:
                found.append(("max_lag", "max_lag is at least 1MiB"))
        except DurationError as error:
            found.append(("max_lag", str(error)))
        return found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        return f"the slot {options.slot} ({options.connection})" if options.slot else None

    async def listen(self, ctx: TriggerContext) -> None:
        import psycopg2

        from triggers.postgres.replication import Stream

        async with ctx.connection(self.options.connection) as database:
            try:
                await Stream(ctx, database, self.options).run()
            except* (psycopg2.Error, OSError, StepFailed, ValueError, NotConnected, NotReady) as errors:
                raise source_fault("postgres", errors) from None

    async def retire(self, ctx: TriggerContext) -> None:
        """Drops what the trigger made on the server, so that nothing is held back there for nobody."""
        from triggers.postgres.setup import give_up

        async with ctx.connection(self.options.connection) as database:
            await give_up(ctx, database, self.options)


class Notify(TriggerKind[NotifyOptions]):
    name = "postgres.notify"
    summary = "Notifications of a PostgreSQL channel (NOTIFY): at most once, those sent while it is away are gone."
    connection_kinds = ("postgres",)
    takes_messages = True
    example = 'postgres.notify: {connection: "postgresql://db.example/shop", channel: orders}'
    event_type = "postgres.notification"
    event_fields = ("channel", "process")
    one_reader = True

    @classmethod
    def problems(cls, options: NotifyOptions) -> list[tuple[str, str]]:
        return [] if _NAME.fullmatch(options.channel) else [("channel", f"{options.channel!r} is no channel")]

    async def listen(self, ctx: TriggerContext) -> None:
        import asyncpg

        options = self.options
        sender, heard = anyio.create_memory_object_stream[tuple[str, int]](BUFFER)
        gone = anyio.Event()

        def hear(connection: object, pid: int, channel: str, payload: str) -> None:
            try:
                sender.send_nowait((payload, pid))
            except anyio.WouldBlock:
                gone.set()

        async with ctx.connection(options.connection) as database:
            try:
                connection = await asyncpg.connect(database.kind.dsn(), timeout=10)
            except (asyncpg.PostgresError, OSError, TimeoutError) as error:
                raise source_fault("postgres", error) from None
            try:
                connection.add_termination_listener(lambda _: gone.set())
                await connection.add_listener(options.channel, hear)  # type: ignore[arg-type]
                await ctx.ready()
                async with anyio.create_task_group() as group:
                    group.start_soon(self._emit, ctx, heard)
                    await gone.wait()
                    raise NotReady("postgres: the connection is lost, or notifications came faster than events")
            except* (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, NotReady) as errors:
                raise source_fault("postgres", errors) from None
            finally:
                sender.close()
                heard.close()
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await connection.close(timeout=4)

    async def _emit(self, ctx: TriggerContext, heard: MemoryObjectReceiveStream[tuple[str, int]]) -> None:
        async for payload, pid in heard:
            data, invalid = decode(payload.encode(), self.options.decode)
            fields = {"channel": self.options.channel, "process": pid}
            source = f"postgres:{self.options.channel}"
            event = Event(type="postgres.notification", source=source, data=data, fields=fields, invalid=invalid)
            await ctx.offer(event)
