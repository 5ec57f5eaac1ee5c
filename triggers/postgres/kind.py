"""Changes of PostgreSQL tables, out of its write-ahead log; and notifications."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

import anyio
import msgspec

from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.event import Event
from reactor.kit.durations import DurationError, parse_size
from triggers.kit.changes import OPERATIONS, Operation, common_problems, source_fault
from triggers.kit.decode import Decode, decode
from triggers.kit.shared import Kind

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
_SLOT = re.compile(r"[a-z0-9_]{1,63}")
BUFFER = 1000
"""Notifications that may wait here; the server keeps none for us."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, or its URL; its user may replicate."""
    tables: list[str]
    """Tables as schema.table (schema public unless given), or schema.* for all of a schema; quoted as in SQL."""
    operations: list[Operation] = msgspec.field(default_factory=lambda: list(OPERATIONS))
    """insert, update, delete, truncate: what becomes an event."""
    snapshot: Literal["none", "initial"] = "none"
    """initial: the rows that are there at the first start come as row.inserted too, with event.snapshot true."""
    slot: str | None = None
    """A replication slot that stays yours; without it the trigger makes one, and drops it when no flow names it."""
    publication: str | None = None
    """A publication that is there already; without it the trigger makes one for the tables."""
    max_lag: str = "10GiB"
    """The most that the trigger's own slot may hold back on the server; beyond, it is given up: changes are lost."""
    after_loss: Literal["stop", "restart"] = "stop"
    """When the slot is gone, and changes with it: stop with an error, or restart with a new one from now."""
    batch: int = 1000
    """Rows that a snapshot reads at once."""


class Postgres(Kind):
    name = "postgres"
    summary = "Inserts, updates, deletes and truncates of PostgreSQL tables, in order of their commits."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("postgres",)
    example = 'postgres: {connection: "postgresql://db.example/shop", tables: [public.orders], operations: [insert]}'
    event_type = "row.*"
    identity = True
    one_reader = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
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
    def claim(cls, options: Any) -> str | None:
        return f"the slot {options.slot} ({options.connection})" if options.slot else None

    async def listen(self, ctx: Any) -> None:
        import psycopg2

        from triggers.postgres.replication import Stream

        async with ctx.connection(self.options.connection) as database:
            try:
                await Stream(ctx, database, self.options).run()
            except* (psycopg2.Error, OSError, StepFailed, ValueError, NotConnected, NotReady) as errors:
                raise source_fault("postgres", errors) from None

    async def retire(self, ctx: Any) -> None:
        """Drops what the trigger made on the server, so that nothing is held back there for nobody."""
        from triggers.postgres.setup import give_up

        async with ctx.connection(self.options.connection) as database:
            await give_up(ctx, database, self.options)


class NotifyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, or its URL."""
    channel: str
    """The channel, as in LISTEN."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""


class Notify(Kind):
    name = "postgres.notify"
    summary = "Notifications of a PostgreSQL channel (NOTIFY): at most once, those sent while it is away are gone."
    Options = NotifyOptions
    connection_kinds: ClassVar[tuple[str, ...]] = ("postgres",)
    example = 'postgres.notify: {connection: "postgresql://db.example/shop", channel: orders}'
    event_type = "postgres.notification"
    one_reader = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        return [] if _NAME.fullmatch(options.channel) else [("channel", f"{options.channel!r} is no channel")]

    async def listen(self, ctx: Any) -> None:
        import asyncpg

        options = self.options
        sender, heard = anyio.create_memory_object_stream[tuple[str, int]](BUFFER)
        gone = anyio.Event()

        def hear(connection: Any, pid: int, channel: str, payload: str) -> None:
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

    async def _emit(self, ctx: Any, heard: Any) -> None:
        async for payload, pid in heard:
            data, invalid = decode(payload.encode(), self.options.decode)
            fields = {"channel": self.options.channel, "process": pid}
            source = f"postgres:{self.options.channel}"
            event = Event(type="postgres.notification", source=source, data=data, fields=fields, invalid=invalid)
            await ctx.offer(event)
