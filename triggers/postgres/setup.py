"""What a PostgreSQL server needs before it can be followed, and what is given back."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from reactor.contracts.errors import NotReady
from reactor.contracts.trigger import TriggerContext
from reactor.kit.sql import Session, quote_part
from triggers.kit.changes import TableName, patterns
from triggers.postgres.lent import PostgresDatabase
from triggers.postgres.options import Options

OLDEST = 140_000
SLOW = 60.0
"""Seconds for statements that wait for others: making a slot waits for the transactions that are open."""

WHOLE_SCHEMAS = 150_000
"""The first version whose publications take all tables of a schema."""

TABLES_QUERY = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relreplident::text AS identity, c.relkind::text AS kind,
       c.relpersistence::text AS persistence,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS keyed,
       ARRAY(SELECT a.oid::int8 FROM pg_partition_ancestors(c.oid) p JOIN pg_class a ON a.oid = p.relid
             WHERE a.oid <> c.oid) AS above, c.oid::int8 AS oid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND (c.relname = :name OR :name::text IS NULL AND c.relkind IN ('r', 'p')
                               AND c.relpersistence = 'p')
ORDER BY 2
"""
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "i": "an index", "S": "a sequence",
         "c": "a composite type", "I": "an index", "t": "a TOAST table"}  # fmt: skip
PARTED = "p"
"""The kind of a partitioned table."""
SLOT_QUERY = """
SELECT plugin::text AS plugin, database::text AS database, active, wal_status::text AS status,
       confirmed_flush_lsn::text AS confirmed, (pg_current_wal_lsn() - restart_lsn)::int8 AS held
FROM pg_replication_slots WHERE slot_name = :slot
"""


class Server(NamedTuple):
    system: str
    version: int
    encoding: str = "UTF8"
    """SQL_ASCII: the server says nothing of its texts' encoding, and would refuse to send what is not UTF-8 as that."""


def slot_name(ctx: TriggerContext, options: Options) -> str:
    """The given one, or one that this daemon and source always has."""
    if options.slot:
        return str(options.slot)
    return f"reactor_{hashlib.sha256(ctx.identity().encode()).hexdigest()[:20]}"


async def check_server(session: Session) -> Server:
    """Raises NotReady for a server that cannot be followed."""
    (row,) = (await session.run(
        "SELECT current_setting('server_version_num')::int AS version, current_setting('wal_level') AS level,"
        " current_setting('server_encoding') AS encoding,"
        " (SELECT system_identifier::text FROM pg_control_system()) AS system"
    )).rows  # fmt: skip
    if row["version"] < OLDEST:
        raise NotReady("postgres: changes are captured from PostgreSQL 14 on")
    if row["level"] != "logical":
        raise NotReady(
            f"postgres: wal_level is {row['level']}: ALTER SYSTEM SET wal_level = logical, and restart the server"
        )
    encoding = "SQL_ASCII" if row["encoding"] == "SQL_ASCII" else "UTF8"
    return Server(str(row["system"]), row["version"], encoding)


class Found(NamedTuple):
    table: TableName
    parted: bool
    """Its rows are in partitions. Any other table is read without those that inherit from it: they are tables of their
    own to the stream, which has no other way."""

    @property
    def source(self) -> str:
        """What a query reads from."""
        return ("" if self.parted else "ONLY ") + self.table.quoted("postgres")


async def find_tables(session: Session, options: Options) -> list[Found]:
    """The tables that the options name; a partition goes with the table that it is a part of. Raises NotReady when one
    is not there, or when a publication of it would make the server refuse the application's updates."""
    found: dict[int, tuple[Found, list[int]]] = {}
    for text, pattern in zip(options.tables, patterns(options, "postgres"), strict=True):
        wanted = pattern.table("public")
        rows = (await session.run(TABLES_QUERY, {"schema": wanted.schema, "name": pattern.name})).rows
        if not rows and pattern.name is not None:
            raise NotReady(f"postgres: there is no table {text}")
        for row in rows:
            table = TableName(row["schema"], row["name"])
            name = table.written("postgres")
            if row["kind"] not in ("r", PARTED):
                raise NotReady(f"postgres: {name} is {KINDS.get(row['kind'], 'something else')}, not a table")
            if row["persistence"] != "p":
                raise NotReady(f"postgres: {name} is unlogged or temporary: its changes are not in the server's log")
            bare = row["identity"] == "n" or (row["identity"] == "d" and not row["keyed"])
            if bare and options.publication is None and {"update", "delete"} & set(options.operations):
                raise NotReady(
                    f"postgres: {name} has no primary key, so the server could not tell its rows apart, and would"
                    f" refuse updates and deletes: ALTER TABLE {name} REPLICA IDENTITY FULL, or operations: [insert]"
                )
            found[row["oid"]] = (Found(table, row["kind"] == PARTED), row["above"])
    return [one for one, above in found.values() if not any(oid in found for oid in above)]


async def make_slot(ctx: TriggerContext, session: Session, name: str, system: str, options: Options) -> str | None:
    """The slot, made once: one that is gone took changes with it. Gives the gap, where it began anew."""
    known = await ctx.cursor()
    rows = (await session.run(SLOT_QUERY, {"slot": name})).rows
    lost = known.get("lost")
    if rows and rows[0]["status"] == "lost":
        lost = "the server gave it up (max_slot_wal_keep_size)"
    elif not rows and "slot" in known:
        lost = lost or "it was dropped"
    elif rows and known.get("slot", {}).get("system", system) != system:
        lost = "this is another server, or a copy"
    if lost:
        if options.after_loss == "stop":
            raise NotReady(
                f"postgres: the slot {name} is gone: {lost}; changes since {known.get('slot', {}).get('since', 'then')}"
                " are lost. after_loss: restart goes on from now"
            )
        await forget(ctx)
        if rows:
            await session.run("SELECT pg_drop_replication_slot(:slot)", {"slot": name})
            rows = []
    if not rows:
        await session.run("SELECT pg_create_logical_replication_slot(:slot, 'pgoutput')", {"slot": name})
        rows = (await session.run(SLOT_QUERY, {"slot": name})).rows
    elif rows[0]["plugin"] != "pgoutput":
        raise NotReady(f"postgres: the slot {name} belongs to the plugin {rows[0]['plugin']}, not pgoutput")
    if "slot" not in await ctx.cursor():
        await ctx.move({"slot": {"name": name, "system": system, "since": rows[0]["confirmed"]}})
    return f"the slot {name} was gone ({lost}): changes before {rows[0]['confirmed']} are lost" if lost else None


async def forget(ctx: TriggerContext) -> None:
    await ctx.move(dict.fromkeys(await ctx.cursor()))


async def drop_slot(session: Session, name: str) -> None:
    """Waits until nobody follows it."""
    for _ in range(50):
        rows = (await session.run(SLOT_QUERY, {"slot": name})).rows
        if not rows:
            return
        if not rows[0]["active"]:
            await session.run("SELECT pg_drop_replication_slot(:slot)", {"slot": name})
            return
        await session.run("SELECT pg_sleep(0.1)")
    raise NotReady(f"postgres: the slot {name} is still followed by someone")


async def give_up(ctx: TriggerContext, database: PostgresDatabase, options: Options) -> None:
    """Drops slot and publication if they are the trigger's own. The publication of a slot that stays is what its
    changes are read with: it stays too."""
    name = slot_name(ctx, options)
    async with database.session(SLOW) as session:
        if options.slot is None:
            await drop_slot(session, name)
        if options.slot is None and options.publication is None:
            await session.run(f"DROP PUBLICATION IF EXISTS {quote_part(name, 'postgres')}")
    await forget(ctx)
