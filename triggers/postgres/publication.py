"""The publication that says which changes the server sends: one of our own follows the options and the tables."""

from __future__ import annotations

from reactor.contracts.errors import NotReady
from reactor.kit.sql import Session, quote_part
from triggers.kit.changes import TableName, patterns
from triggers.postgres.options import Options
from triggers.postgres.setup import WHOLE_SCHEMAS, Server

PUBLICATION_QUERY = """
SELECT p.puballtables AS everything, p.pubviaroot AS root,
       ARRAY_REMOVE(ARRAY[CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                          CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END], NULL)
         AS operations,
       ARRAY(SELECT ARRAY[n.nspname::text, c.relname::text] FROM pg_publication_rel r
             JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE r.prpubid = p.oid) AS tables
FROM pg_publication p WHERE p.pubname = :name
"""
SCHEMAS_QUERY = """
SELECT n.nspname::text AS name FROM pg_publication p JOIN pg_publication_namespace s ON s.pnpubid = p.oid
JOIN pg_namespace n ON n.oid = s.pnnspid WHERE p.pubname = :name
"""


async def make_publication(session: Session, name: str, options: Options, server: Server) -> list[str]:
    """Makes one of our own, or changes it to these tables and operations; before the slot, which needs it at each
    position. Gives what was not there yet: a table that was dropped and made again is among it. Raises
    NotReady when a given one is not there: the server would stop at the first change."""
    rows = (await session.run(PUBLICATION_QUERY, {"name": name})).rows
    if options.publication is not None:
        if not rows:
            raise NotReady(f"postgres: there is no publication {name}")
        return []
    tables, schemas = _wanted(options)
    if schemas and server.version < WHOLE_SCHEMAS:
        raise NotReady(f"postgres: {schemas[0]}.* takes PostgreSQL 15 or later; name the tables")
    parts = ["TABLE " + ", ".join(f"ONLY {table.quoted('postgres')}" for table in tables)] if tables else []
    parts += [f"TABLES IN SCHEMA {', '.join(quote_part(one, 'postgres') for one in schemas)}"] if schemas else []
    settings = f"publish = '{', '.join(options.operations)}', publish_via_partition_root = true"
    quoted = quote_part(name, "postgres")
    if not rows:
        await session.run(f"CREATE PUBLICATION {quoted} FOR {', '.join(parts)} WITH ({settings})")
        return [f"the publication {name}"]
    (there,) = rows
    if there["everything"]:
        return []
    if set(there["operations"]) != set(options.operations) or not there["root"]:
        await session.run(f"ALTER PUBLICATION {quoted} SET ({settings})")
    whole = []
    if server.version >= WHOLE_SCHEMAS:
        whole = [row["name"] for row in (await session.run(SCHEMAS_QUERY, {"name": name})).rows]
    present = {TableName(*names) for names in there["tables"]}
    if present == set(tables) and set(whole) == set(schemas):
        return []
    await session.run(f"ALTER PUBLICATION {quoted} SET {', '.join(parts)}")
    return [table.written("postgres") for table in tables if table not in present]


def _wanted(options: Options) -> tuple[list[TableName], list[str]]:
    """Tables, and whole schemas."""
    tables, schemas = list[TableName](), list[str]()
    for pattern in patterns(options, "postgres"):
        wanted = pattern.table("public")
        if pattern.name is None:
            schemas.append(wanted.schema)
        elif wanted not in tables:
            tables.append(wanted)
    return tables, schemas
