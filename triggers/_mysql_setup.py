"""What a MySQL or MariaDB server needs before it can be followed."""

from __future__ import annotations

import uuid
import zlib
from typing import Any, NamedTuple

from reactor.contracts.errors import NotConnected
from triggers._mysql_position import MariaPosition, MysqlPosition, Position

TABLES_QUERY = """
SELECT table_schema AS `schema`, table_name AS name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema = :schema AND (table_name = :name OR :name = '*') ORDER BY 2
"""


class Server(NamedTuple):
    maria: bool

    @property
    def position_query(self) -> str:
        return "SELECT @@GLOBAL.gtid_binlog_pos AS p" if self.maria else "SELECT @@GLOBAL.gtid_executed AS p"

    def position(self, text: str) -> Position:
        return MariaPosition(text) if self.maria else MysqlPosition(text)


async def check_server(session: Any) -> Server:
    """Raises NotConnected with the setting to change."""
    (row,) = (await session.run("SELECT version() AS version, @@GLOBAL.log_bin AS log")).rows
    maria = "mariadb" in str(row["version"]).lower()
    if not row["log"]:
        raise NotConnected("mysql: the server keeps no binary log: start it with log_bin and a server_id")
    for name, wanted in (("binlog_format", "ROW"), ("binlog_row_metadata", "FULL"), ("gtid_mode", "ON")):
        if name == "gtid_mode" and maria:
            continue
        rows = (await session.run("SHOW GLOBAL VARIABLES LIKE :name", {"name": name})).rows
        found = rows[0]["Value"] if rows else "not there"
        if str(found).upper() != wanted:
            raise NotConnected(
                f"mysql: {name} is {found}: SET GLOBAL {name} = {wanted}, and in the server's configuration"
            )
    return Server(maria)


async def find_tables(session: Any, options: Any, database: str) -> list[str]:
    """The tables that the options name, as database.table. Raises NotConnected when one is not there."""
    found = []
    for pattern in options.tables:
        schema, _, name = pattern.rpartition(".")
        rows = (await session.run(TABLES_QUERY, {"schema": schema or database, "name": name})).rows
        if not rows and name != "*":
            raise NotConnected(f"mysql: there is no table {pattern}")
        found += [table for row in rows if (table := f"{row['schema']}.{row['name']}") not in found]
    return found


async def begin(ctx: Any, session: Any, server: Server) -> tuple[str, str]:
    """Where to go on, and the name of this beginning, which tells its changes from those of another server whose
    identifiers are the same. The start is committed before anything is read."""
    known = await ctx.cursor()
    if "gtid" in known:
        return known["gtid"], known["birth"]
    (row,) = (await session.run(server.position_query)).rows
    position = str(server.position(str(row["p"] or "")))
    birth = uuid.uuid4().hex[:16]
    await ctx.move({**dict.fromkeys(known), "gtid": position, "birth": birth})
    return position, birth


def server_id(ctx: Any, options: Any) -> int:
    """A number that this daemon and source always has."""
    return options.server_id or 2**31 + zlib.crc32(ctx.identity().encode()) % 2**31
