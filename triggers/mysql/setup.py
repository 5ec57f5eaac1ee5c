"""What a MySQL or MariaDB server needs before it can be followed."""

from __future__ import annotations

import uuid
import zlib
from typing import NamedTuple

from reactor.contracts.errors import NotReady
from reactor.contracts.trigger import TriggerContext
from reactor.kit.sql import Session
from triggers.kit.changes import TableName, patterns
from triggers.mysql.options import Options
from triggers.mysql.position import MariaPosition, MysqlPosition, Position

TABLES_QUERY = """
SELECT table_schema AS `schema`, table_name AS name, table_type AS type FROM information_schema.tables
WHERE table_schema = :schema AND (table_name = :name OR :name IS NULL AND table_type = 'BASE TABLE') ORDER BY 2
"""
OTHERS = {
    "VIEW": "a view, not a table", "SYSTEM VIEW": "a view, not a table", "SEQUENCE": "a sequence, not a table",
    "SYSTEM VERSIONED": "system-versioned: the log has the rows of its history as if they were inserted",
}  # fmt: skip
TYPES_QUERY = """
SELECT column_name AS name, data_type AS type, datetime_precision AS digits FROM information_schema.columns
WHERE table_schema = :schema AND table_name = :name
"""
WANTED = {
    "binlog_format": "ROW", "binlog_row_metadata": "FULL", "gtid_mode": "ON", "log_bin_compress": "OFF",
    "binlog_transaction_compression": "OFF", "binlog_row_value_options": "",
}  # fmt: skip
NOT_OF_ALL = frozenset({"gtid_mode", "log_bin_compress", "binlog_transaction_compression", "binlog_row_value_options"})
"""Settings that only one of MySQL and MariaDB has, or not every version."""


class Server(NamedTuple):
    maria: bool

    @property
    def position_query(self) -> str:
        return "SELECT @@GLOBAL.gtid_binlog_pos AS p" if self.maria else "SELECT @@GLOBAL.gtid_executed AS p"

    def position(self, text: str) -> Position:
        return MariaPosition(text) if self.maria else MysqlPosition(text)


async def check_server(session: Session) -> Server:
    """Raises NotReady with the setting to change."""
    (row,) = (await session.run("SELECT version() AS version, @@GLOBAL.log_bin AS log")).rows
    maria = "mariadb" in str(row["version"]).lower()
    if not row["log"]:
        raise NotReady("mysql: the server keeps no binary log: start it with log_bin and a server_id")
    for name, wanted in WANTED.items():
        rows = (await session.run("SHOW GLOBAL VARIABLES LIKE :name", {"name": name})).rows
        if not rows and name in NOT_OF_ALL and (maria or name != "gtid_mode"):
            continue
        found = rows[0]["Value"] if rows else "not there"
        if str(found).upper() != wanted:
            raise NotReady(
                f"mysql: {name} is {found}: SET GLOBAL {name} = {wanted or repr('')}, and in the server's configuration"
            )
    return Server(maria)


async def find_tables(session: Session, options: Options, database: str) -> list[TableName]:
    """The tables that the options name. Raises NotReady when one is not there."""
    found = []
    for text, pattern in zip(options.tables, patterns(options, "mysql"), strict=True):
        wanted = pattern.table(database)
        rows = (await session.run(TABLES_QUERY, {"schema": wanted.schema, "name": pattern.name})).rows
        if not rows and pattern.name is not None:
            raise NotReady(f"mysql: there is no table {text}")
        for row in rows:
            table = TableName(row["schema"], row["name"])
            if row["type"] in OTHERS:
                raise NotReady(f"mysql: {table.written('mysql')} is {OTHERS[row['type']]}")
            if table not in found:
                found.append(table)
    return found


class Declared(NamedTuple):
    type: str = ""
    digits: int = 0
    """Of a second."""


async def declared_types(session: Session, table: TableName) -> dict[str, Declared]:
    """The types of a table's columns as it is now."""
    rows = (await session.run(TYPES_QUERY, {"schema": table.schema, "name": table.name})).rows
    return {row["name"]: Declared(row["type"], int(row["digits"] or 0)) for row in rows}


async def begin(ctx: TriggerContext, session: Session, server: Server) -> tuple[str, str, str | None]:
    """Where to go on, and the name of this beginning, which tells its changes from those of another server whose
    identifiers are the same; and the gap, where it begins anew. The start is committed before anything is read."""
    known = await ctx.cursor()
    if "gtid" in known:
        return known["gtid"], known["birth"], None
    (row,) = (await session.run(server.position_query)).rows
    position = str(server.position(str(row["p"] or "")))
    birth = uuid.uuid4().hex[:16]
    await ctx.move({**dict.fromkeys(known), "gtid": position, "birth": birth})
    gap = f"the log was gone behind {known['lost']}: changes before {position} are lost" if "lost" in known else None
    return position, birth, gap


def server_id(ctx: TriggerContext, options: Options) -> int:
    """A number that this daemon and source always has."""
    return options.server_id or 2**31 + zlib.crc32(ctx.identity().encode()) % 2**31
