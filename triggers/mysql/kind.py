"""Changes of MySQL and MariaDB tables, out of the binary log."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.kit.durations import DurationError, parse_size
from triggers.kit.changes import OPERATIONS, Operation, common_problems, source_fault
from triggers.kit.shared import Kind, first_of


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind mysql, or its URL; its user may replicate (REPLICATION SLAVE, BINLOG MONITOR)."""
    tables: list[str]
    """Tables as database.table (the connection's database unless given), or database.* for all; backticks as in SQL."""
    operations: list[Operation] = msgspec.field(default_factory=lambda: list(OPERATIONS))
    """insert, update, delete, truncate: what becomes an event."""
    snapshot: Literal["none", "initial"] = "none"
    """initial: the rows that are there at the first start come as row.inserted too, with event.snapshot true."""
    server_id: int | None = None
    """The number under which it follows the server, which no other replica has; made of its name unless given."""
    max_lag: str = "10GiB"
    """Bytes of the log that it may be behind before it warns."""
    after_loss: Literal["stop", "restart"] = "stop"
    """When the server has no more what comes next, and changes are lost: stop with an error, or restart from now."""
    batch: int = 1000
    """Rows that a snapshot reads at once."""


class Mysql(Kind):
    name = "mysql"
    summary = "Inserts, updates, deletes and truncates of MySQL or MariaDB tables, in order of their commits."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("mysql",)
    example = 'mysql: {connection: "mysql://db.example/shop", tables: [orders], operations: [insert]}'
    event_type = "row.*"
    identity = True
    one_reader = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        found = common_problems(options, "mysql", "shop.orders", "a database, shop.*")
        if options.server_id is not None and not 1 <= options.server_id < 2**32:
            found.append(("server_id", "server_id is from 1 to 4,294,967,295"))
        try:
            parse_size(options.max_lag)
        except DurationError as error:
            found.append(("max_lag", str(error)))
        return found

    async def listen(self, ctx: Any) -> None:
        import pymysql

        from triggers.mysql.reader import Lost
        from triggers.mysql.replication import Stream
        from triggers.mysql.wire import Unreadable

        async with ctx.connection(self.options.connection) as database:
            try:
                await Stream(ctx, database, self.options).run()
            except* Unreadable as errors:
                raise NotReady(f"mysql: the server's log cannot be read: {first_of(errors)}") from None
            except* (pymysql.MySQLError, OSError, StepFailed, ValueError, Lost, NotConnected, NotReady) as errors:
                raise source_fault("mysql", errors) from None
