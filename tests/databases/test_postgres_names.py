"""Names, inherited tables and encodings: what a PostgreSQL database may be called and made of."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from plugins.actions import sql as actions
from plugins.connections.postgres import Postgres as Kind
from reactor.contracts.errors import NotReady
from reactor.testing.trigger_suite import Recorder
from tests.brokers.harness import Lent
from tests.databases.conftest import Known
from tests.databases.test_postgres import listening, options, sql
from tests.databases.test_sql import act
from tests.services import Postgres as Server
from tests.waiting import soon
from triggers.postgres.kind import Postgres
from triggers.sql import Options, Sql

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]
NAMES = ['"My Shop"."Öl.Sorten"', 'public."a ""b"" c"', "public.Größe", '"My Shop"."*"', "Mixed"]


@pytest.fixture
async def shop(postgres_server: Server) -> AsyncIterator[Server]:
    await sql(postgres_server, 'DROP SCHEMA IF EXISTS "My Shop" CASCADE', 'CREATE SCHEMA "My Shop"')
    yield postgres_server
    await sql(postgres_server, 'DROP SCHEMA "My Shop" CASCADE')


async def test_names_are_written_as_in_sql(shop: Server) -> None:
    quoted = [*NAMES[:2], 'public."Größe"', NAMES[3], '"Mixed"']
    for name in quoted:
        await sql(shop, f'CREATE TABLE {name} ("Id.x" int PRIMARY KEY, "grün :a" text)', f"INSERT INTO {name} VALUES (1, 'a')")  # fmt: skip
    async with listening(shop, tables=NAMES, snapshot="initial") as made:
        await made.wait_events(5)
        for name in quoted:
            await sql(shop, f"INSERT INTO {name} VALUES (2, 'b')", f"TRUNCATE {name}")
        events = await made.wait_events(15)
    shown = ['"My Shop"."Öl.Sorten"', 'public."a ""b"" c"', "public.Größe", '"My Shop"."*"', "public.Mixed"]
    assert [(event.fields["table"], event.data) for event in events[:5]] == [
        (name, {"Id.x": 1, "grün :a": "a"}) for name in shown
    ]
    assert [(event.fields["table"], event.data) for event in events[5::2]] == [
        (name, {"Id.x": 2, "grün :a": "b"}) for name in shown
    ]
    assert [event.type for event in events[6::2]] == ["row.truncated"] * 5
    await Postgres(options(tables=NAMES)).retire(made)
    async with listening(shop, tables=['"My Shop".*']) as made:
        await sql(shop, f"INSERT INTO {NAMES[0]} VALUES (3, 'c')")
        (event,) = await made.wait_events(1)
        assert event.fields["table"] == '"My Shop"."Öl.Sorten"'


async def test_actions_take_the_same_names(shop: Server, tmp_path: Path) -> None:
    known = Known("postgres", shop.url, Kind)
    await sql(shop, 'CREATE TABLE "My Shop"."Öl.Sorten" ("Id.x" int PRIMARY KEY, "grün :a" text)')
    shape: dict[str, Any] = {"table": '"My Shop"."Öl.Sorten"', "columns": ["Id.x", "grün :a"]}
    rows = [{"Id.x": 1, "grün :a": "a"}]
    assert await act(actions.Insert, known, tmp_path, rows=rows, **shape) == {"count": 1}
    assert await act(actions.Upsert, known, tmp_path, rows=rows, key=["Id.x"], **shape) == {"count": 1}


@pytest.mark.parametrize("wrong", ["My Shop.x", '"open', 'a."b"c', "a.", "", '""', "a.b.c", "x" * 64, "ö" * 32])
def test_names_that_are_wrong(wrong: str) -> None:
    assert Postgres.problems(options(tables=[wrong]))


async def test_inherited_tables_are_tables_of_their_own(postgres_server: Server) -> None:
    """To the stream they are; so they are to the snapshot, and the server goes on taking their updates."""
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE child (n int) INHERITS (orders)",
              "INSERT INTO orders VALUES (1)", "INSERT INTO child VALUES (2, 2)")  # fmt: skip
    async with listening(postgres_server, snapshot="initial") as made:
        await made.wait_events(1)
        await sql(
            postgres_server,
            "INSERT INTO child VALUES (3, 3)",
            "UPDATE child SET n = 4",
            "INSERT INTO orders VALUES (4)",
        )
        assert [event.data["id"] for event in await made.wait_events(2)] == [1, 4]
    await Postgres(options()).retire(made)
    async with listening(postgres_server, tables=["orders", "child"], operations=["insert"]) as made:
        await sql(postgres_server, "INSERT INTO child VALUES (5, 5)", "INSERT INTO orders VALUES (6)")
        events = await made.wait_events(2)
        assert [event.fields["table"] for event in events] == ["public.child", "public.orders"]


@pytest.mark.parametrize(("made", "said"), [("VIEW orders AS SELECT 1 AS id", "a view, not a table"), ("UNLOGGED TABLE orders (id int PRIMARY KEY)", "unlogged")])  # fmt: skip
async def test_what_has_no_changes_is_said(postgres_server: Server, made: str, said: str) -> None:
    await sql(postgres_server, f"CREATE {made}")
    recorder = Recorder()
    recorder.connections = Lent(Kind, {"url": postgres_server.url})
    with anyio.fail_after(20), pytest.raises(NotReady, match=said):
        await Postgres(options()).listen(recorder)
    await sql(postgres_server, "DROP VIEW IF EXISTS orders" if "VIEW" in made else "DROP TABLE orders")


async def test_a_table_that_becomes_a_view_is_said_and_taken_up_again(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.postgres.replication.LOOK", 0.05)
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")
    async with listening(postgres_server, tables=["orders", "other"]) as made:
        await sql(postgres_server, "ALTER TABLE orders RENAME TO old", "CREATE VIEW orders AS SELECT * FROM old")
        await soon(lambda: "public.orders is a view" in (made.warning or ""), "nobody minds the view")
        await sql(postgres_server, "INSERT INTO old VALUES (1)", "INSERT INTO other VALUES (2)")
        assert [event.data["id"] for event in await made.wait_events(1)] == [2]
        await sql(postgres_server, "DROP VIEW orders", "CREATE TABLE orders (id int PRIMARY KEY)")
        await soon(lambda: made.warning is None, "the warning stays")
        await sql(postgres_server, "INSERT INTO orders VALUES (3)")
        assert [event.data["id"] for event in await made.wait_events(2)] == [2, 3]


@asynccontextmanager
async def database(server: Server, encoding: str) -> AsyncIterator[Server]:
    """A database of another encoding on the same server."""
    await sql(server, f"CREATE DATABASE other ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")

    class Other:
        url = server.url.removesuffix("postgres") + "other"

    try:
        yield Other()  # type: ignore[misc]
    finally:
        connection = await asyncpg.connect(Other.url)
        for row in await connection.fetch(
            "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = 'other'"
        ):
            if row["active_pid"]:
                await connection.execute("SELECT pg_terminate_backend($1, 5000)", row["active_pid"])
            await connection.execute("SELECT pg_drop_replication_slot($1)", row["slot_name"])
        await connection.close()
        await sql(server, "DROP DATABASE other WITH (FORCE)")


async def test_a_latin1_database(postgres_server: Server) -> None:
    async with database(postgres_server, "LATIN1") as other:
        await sql(other, "CREATE TABLE orders (id int PRIMARY KEY, t text)", "INSERT INTO orders VALUES (1, 'grün')")
        async with listening(other, snapshot="initial") as made:
            await made.wait_events(1)
            await sql(other, "INSERT INTO orders VALUES (2, 'grün')")
            assert [event.data["t"] for event in await made.wait_events(2)] == ["grün", "grün"]


async def test_names_in_a_database_without_an_encoding(postgres_server: Server, tmp_path: Path) -> None:
    """Its names may be UTF-8, or any bytes."""
    async with database(postgres_server, "SQL_ASCII") as other:
        await sql(other, 'CREATE TABLE "größe" ("Länge" int PRIMARY KEY)', 'INSERT INTO "größe" VALUES (1), (2)')
        rename = "DO $$ BEGIN EXECUTE format('ALTER TABLE \"größe\" ADD %I int', convert_from('\\x636166e9', 'SQL_ASCII')); END $$"
        position: dict[str, Any] = {}
        async with listening(other, position, tables=["größe"], snapshot="initial", batch=1) as made:
            await soon(lambda: position.get("snapshot public.größe") == "done", "the snapshot did not end", 10)
            await sql(
                other, rename, 'INSERT INTO "größe" VALUES (3, 30)', 'UPDATE "größe" SET "Länge" = 4 WHERE "Länge" = 1'
            )
            events = await made.wait_events(4)
        assert [event.data for event in events] == [
            {"Länge": 1}, {"Länge": 2}, {"Länge": 3, "caf\\xe9": 30}, {"Länge": 4, "caf\\xe9": None}
        ]  # fmt: skip
        assert {event.fields["table"] for event in events} == {"public.größe"}
        known = Known("postgres", other.url, Kind)
        found = await act(actions.Query, known, tmp_path, query='SELECT * FROM "größe" WHERE "Länge" = 3')
        assert found["rows"] == [{"Länge": 3, "caf\\xe9": 30}]


async def test_bytes_that_are_not_utf8_become_dead_letters(postgres_server: Server, tmp_path: Path) -> None:
    """In a database that says nothing of its encoding. The other rows go on."""
    async with database(postgres_server, "SQL_ASCII") as other:
        raw = "convert_from('\\x636166e9', 'SQL_ASCII')"
        await sql(other, "CREATE TABLE orders (id int PRIMARY KEY, t text)", f"INSERT INTO orders VALUES (1, {raw}), (2, 'grün')")  # fmt: skip
        shown = {"t": "caf\\xe9", "t_bytes": base64.b64encode(b"caf\xe9").decode()}
        async with listening(other, snapshot="initial") as made:
            await made.wait_events(2)
            await sql(
                other, f"INSERT INTO orders VALUES (3, {raw}), (4, 'grün')", "UPDATE orders SET t = 'x' WHERE id = 3"
            )
            events = await made.wait_events(5)
        assert [event.data for event in events] == [
            {"id": 1, **shown}, {"id": 2, "t": "grün"}, {"id": 3, **shown}, {"id": 4, "t": "grün"}, {"id": 3, "t": "x"}
        ]  # fmt: skip
        for event in (events[0], events[2]):
            assert event.invalid is not None and "public.orders at " in event.invalid
            assert "the column t: byte 0xe9 at position 3 is not UTF-8" in event.invalid
        assert [event.invalid for event in (events[1], events[3], events[4])] == [None] * 3
        known = Known("postgres", other.url, Kind)
        for _ in range(2):  # the second time on a connection that was given back
            found = await act(actions.Query, known, tmp_path, query="SELECT id, t FROM orders WHERE id < 3 ORDER BY id")
            assert found["rows"] == [{"id": 1, **shown}, {"id": 2, "t": "grün"}]
        found = await act(actions.Query, known, tmp_path, query="SELECT id FROM orders WHERE t = :t AND t <> 'ö' ORDER BY 1", params={"t": "grün"})  # fmt: skip
        assert found["rows"] == [{"id": 2}, {"id": 4}]
        poll = Recorder()
        poll.connections = known.lent
        chosen = Options(connection="x", query="SELECT id, t FROM orders WHERE id > :cursor ORDER BY id", cursor="id")
        async with anyio.create_task_group() as group:
            group.start_soon(Sql(chosen).listen, poll)
            events = await poll.wait_events(4)
            group.cancel_scope.cancel()
        assert [event.invalid is None for event in events] == [False, True, True, True]
