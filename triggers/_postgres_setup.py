"""What a PostgreSQL server needs before it can be followed, and what is given back."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from reactor.contracts.errors import NotConnected
from reactor.contracts.sql import quote_name

OLDEST = 140_000
SLOW = 60.0
"""Seconds for statements that wait for others: making a slot waits for the transactions that are open."""

WHOLE_SCHEMAS = 150_000
"""The first version whose publications take all tables of a schema."""

TABLES_QUERY = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relreplident::text AS identity,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS keyed,
       ARRAY(SELECT a.oid::int8 FROM pg_partition_ancestors(c.oid) p JOIN pg_class a ON a.oid = p.relid
             WHERE a.oid <> c.oid) AS above, c.oid::int8 AS oid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname = :schema AND (c.relname = :name OR :name = '*')
ORDER BY 2
"""
SLOT_QUERY = """
SELECT plugin::text AS plugin, database::text AS database, active, wal_status::text AS status,
       confirmed_flush_lsn::text AS confirmed, (pg_current_wal_lsn() - restart_lsn)::int8 AS held
FROM pg_replication_slots WHERE slot_name = :slot
"""


class Server(NamedTuple):
    system: str
    version: int


def slot_name(ctx: Any, options: Any) -> str:
    """The given one, or one that this daemon and source always has."""
    if options.slot:
        return str(options.slot)
    return f"reactor_{hashlib.sha256(ctx.identity().encode()).hexdigest()[:20]}"


async def check_server(session: Any) -> Server:
    """Raises NotConnected for a server that cannot be followed."""
    (row,) = (await session.run(
        "SELECT current_setting('server_version_num')::int AS version, current_setting('wal_level') AS level,"
        " (SELECT system_identifier::text FROM pg_control_system()) AS system"
    )).rows  # fmt: skip
    if row["version"] < OLDEST:
        raise NotConnected("postgres: changes are captured from PostgreSQL 14 on")
    if row["level"] != "logical":
        raise NotConnected(
            f"postgres: wal_level is {row['level']}: ALTER SYSTEM SET wal_level = logical, and restart the server"
        )
    return Server(str(row["system"]), row["version"])


async def find_tables(session: Any, options: Any) -> list[str]:
    """The tables that the options name, as schema.table; a partition goes with the table that it is a part of. Raises
    NotConnected when one is not there, or when a publication of it would make the server refuse the application's
    updates."""
    found: dict[int, tuple[str, list[int]]] = {}
    for pattern in options.tables:
        schema, _, name = pattern.rpartition(".")
        rows = (await session.run(TABLES_QUERY, {"schema": schema or "public", "name": name})).rows
        if not rows and name != "*":
            raise NotConnected(f"postgres: there is no table {pattern}")
        for row in rows:
            table = f"{row['schema']}.{row['name']}"
            bare = row["identity"] == "n" or (row["identity"] == "d" and not row["keyed"])
            if bare and options.publication is None and {"update", "delete"} & set(options.operations):
                raise NotConnected(
                    f"postgres: {table} has no primary key, so the server could not tell its rows apart, and would"
                    f" refuse updates and deletes: ALTER TABLE {table} REPLICA IDENTITY FULL, or operations: [insert]"
                )
            found[row["oid"]] = (table, row["above"])
    return [table for table, above in found.values() if not any(oid in found for oid in above)]


async def make_slot(ctx: Any, session: Any, name: str, system: str, options: Any) -> None:
    """The slot, made once: one that is gone took changes with it, and that is said."""
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
            raise NotConnected(
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
        raise NotConnected(f"postgres: the slot {name} belongs to the plugin {rows[0]['plugin']}, not pgoutput")
    if "slot" not in await ctx.cursor():
        await ctx.move({"slot": {"name": name, "system": system, "since": rows[0]["confirmed"]}})


async def forget(ctx: Any) -> None:
    await ctx.move(dict.fromkeys(await ctx.cursor()))


async def drop_slot(session: Any, name: str) -> None:
    """Waits until nobody follows it."""
    for _ in range(50):
        rows = (await session.run(SLOT_QUERY, {"slot": name})).rows
        if not rows:
            return
        if not rows[0]["active"]:
            await session.run("SELECT pg_drop_replication_slot(:slot)", {"slot": name})
            return
        await session.run("SELECT pg_sleep(0.1)")
    raise NotConnected(f"postgres: the slot {name} is still followed by someone")


async def give_up(ctx: Any, database: Any, options: Any) -> None:
    """Drops slot and publication if they are the trigger's own. The publication of a slot that stays is what its
    changes are read with: it stays too."""
    name = slot_name(ctx, options)
    async with database.session(SLOW) as session:
        if options.slot is None:
            await drop_slot(session, name)
        if options.slot is None and options.publication is None:
            await session.run(f"DROP PUBLICATION IF EXISTS {quote_name(name, 'postgres')}")
    await forget(ctx)
