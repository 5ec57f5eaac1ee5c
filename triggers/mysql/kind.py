"""Changes of MySQL and MariaDB tables, out of the binary log."""

from __future__ import annotations

from reactor.contracts.errors import NotConnected, NotReady, StepFailed, leading
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_size
from triggers.kit.changes import CHANGE_FIELDS, common_problems, source_fault
from triggers.mysql.options import Options


class Mysql(TriggerKind[Options]):
    name = "mysql"
    summary = "Inserts, updates, deletes and truncates of MySQL or MariaDB tables, in order of their commits."
    connection_kinds = ("mysql",)
    takes_messages = True
    example = 'mysql: {connection: "mysql://db.example/shop", tables: [orders], operations: [insert]}'
    event_type = "row.*"
    identity = True
    event_fields = CHANGE_FIELDS
    one_reader = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = common_problems(options, "mysql", "shop.orders", "a database, shop.*")
        if options.server_id is not None and not 1 <= options.server_id < 2**32:
            found.append(("server_id", "server_id is from 1 to 4,294,967,295"))
        try:
            parse_size(options.max_lag)
        except DurationError as error:
            found.append(("max_lag", str(error)))
        return found

    async def listen(self, ctx: TriggerContext) -> None:
        import pymysql

        from triggers.mysql.reader import Lost
        from triggers.mysql.replication import Stream
        from triggers.mysql.wire import Unreadable

        async with ctx.connection(self.options.connection) as database:
            try:
                await Stream(ctx, database, self.options).run()
            except* Unreadable as errors:
                raise NotReady(f"mysql: the server's log cannot be read: {leading(errors)}") from None
            except* (pymysql.MySQLError, OSError, StepFailed, ValueError, Lost, NotConnected, NotReady) as errors:
                raise source_fault("mysql", errors) from None
