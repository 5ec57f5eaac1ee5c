"""Change capture from a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest

from plugins.connections.postgres import Postgres as Kind
from reactor.contracts.errors import NotReady
from reactor.contracts.event import Event
from reactor.testing.trigger_suite import Recorder
from tests.brokers.harness import Lent
from tests.services import Postgres as Server
from tests.waiting import soon
from triggers.postgres.kind import Notify, Postgres
from triggers.postgres.options import NotifyOptions
from triggers.postgres.snapshot import Snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def sql(server: Server, *queries: str) -> list[Any]:
    found: list[Any] = []
    async with connected(server) as connection:
        for query in queries:
            found = [tuple(row) for row in await connection.fetch(query)]
    return found


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", "tables": ["orders"], **given}, Postgres.Options)


@asynccontextmanager
async def listening(server: Server, position: dict[str, Any] | None = None, kind: Any = Postgres, **given: Any) -> AsyncIterator[Recorder]:  # fmt: skip
    made = Recorder(position)
    made.connections = Lent(Kind, {"url": server.url})
    chosen = options(**given) if kind is Postgres else msgspec.convert({"connection": "x", **given}, kind.Options)
    async with anyio.create_task_group() as group:
        group.start_soon(kind(chosen).listen, made)
        with anyio.fail_after(15):
            await made.is_ready.wait()
        yield made
        group.cancel_scope.cancel()


def seen(events: list[Event]) -> list[tuple[str, Any, Any]]:
    return [(event.type.removeprefix("row."), event.fields["old"], event.fields["new"]) for event in events]


async def test_changes_of_all_kinds_in_order(postgres_server: Server) -> None:
    await sql(
        postgres_server,
        "CREATE TABLE orders (id int PRIMARY KEY, total numeric, note text)",
        "CREATE TABLE other (id int PRIMARY KEY)",
    )
    async with listening(postgres_server) as made:
        await sql(postgres_server, "INSERT INTO orders VALUES (1, 12.50, 'a'), (2, 1, NULL)", "INSERT INTO other VALUES (1)",
                  "UPDATE orders SET total = 99999999999999999999.5 WHERE id = 1", "UPDATE orders SET id = 3 WHERE id = 2",
                  "DELETE FROM orders WHERE id = 1", "TRUNCATE orders")  # fmt: skip
        events = await made.wait_events(6)
    assert seen(events) == [
        ("inserted", None, {"id": 1, "total": 12.5, "note": "a"}), ("inserted", None, {"id": 2, "total": 1, "note": None}),
        ("updated", None, {"id": 1, "total": "99999999999999999999.5", "note": "a"}),
        ("updated", {"id": 2}, {"id": 3, "total": 1, "note": None}), ("deleted", {"id": 1}, None), ("truncated", None, None),
    ]  # fmt: skip
    first, second = events[0], events[1]
    assert (
        first.fields["table"] == "public.orders"
        and first.source == "postgres:public.orders"
        and first.data == first.fields["new"]
    )
    assert (
        first.fields["position"] == second.fields["position"]
        and first.fields["transaction"] == second.fields["transaction"]
    )
    assert first.key != second.key and str(first.key).endswith("/0") and str(second.key).endswith("/1")
    assert str(first.fields["committed"]).endswith("Z") and first.time is not None
    assert len({event.key for event in events}) == 6


async def test_old_rows_by_replica_identity_and_large_values(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY, big text, n int)", "ALTER TABLE orders ALTER big SET STORAGE EXTERNAL",
              "CREATE TABLE whole (id int, big text, n int)", "ALTER TABLE whole REPLICA IDENTITY FULL", "ALTER TABLE whole ALTER big SET STORAGE EXTERNAL",
              "CREATE UNIQUE INDEX by_n ON orders (n)")  # fmt: skip
    big = "x" * 20_000
    async with listening(postgres_server, tables=["public.orders", "whole"]) as made:
        for table in ("orders", "whole"):
            await sql(postgres_server, f"INSERT INTO {table} VALUES (1, '{big}', 1)", f"UPDATE {table} SET n = 2")
        events = await made.wait_events(4)
    assert events[1].fields["new"] == {"id": 1, "n": 2} and events[1].fields["unchanged"] == ["big"]
    assert events[3].fields["old"] == {"id": 1, "big": big, "n": 1} and events[3].fields["new"] == {
        "id": 1,
        "big": big,
        "n": 2,
    }
    assert "unchanged" not in events[3].fields


async def test_values_have_their_types(postgres_server: Server) -> None:
    await sql(postgres_server, "DROP TYPE IF EXISTS mood CASCADE", "CREATE TYPE mood AS ENUM ('sad', 'fine')", "DROP DOMAIN IF EXISTS price CASCADE", "CREATE DOMAIN price AS numeric(10,2)",
              """CREATE TABLE orders (id bigint PRIMARY KEY, j jsonb, a int[], m mood, ma mood[], t timestamptz, ts timestamp, d date, b bytea, f float8,
              nan float8, u uuid, i interval, p price, pa price[], yes bool, tt text[][], c char(4))""")  # fmt: skip
    async with listening(postgres_server) as made:
        await sql(postgres_server, """INSERT INTO orders VALUES (9007199254740993, '{"a": [1, 2.5, null]}', '{1,NULL,3}', 'fine', '{sad,fine}', '2026-11-21 10:00:00.25+01',
            '2026-11-21 10:00:00', '2026-11-21', '\\x00ff', 0.1, 'NaN', '11111111-2222-3333-4444-555555555555', '1 day 2 hours', 9.90, '{1.50,2}', true,
            '{{a,"b c"},{"",NULL}}', 'ab')""")  # fmt: skip
        (event,) = await made.wait_events(1)
    assert event.data == {
        "id": 9007199254740993, "j": {"a": [1, 2.5, None]}, "a": [1, None, 3], "m": "fine", "ma": ["sad", "fine"],
        "t": "2026-11-21T09:00:00.25Z", "ts": "2026-11-21T10:00:00", "d": "2026-11-21", "b": "AP8=", "f": 0.1, "nan": "NaN",
        "u": "11111111-2222-3333-4444-555555555555", "i": "P1DT2H", "p": 9.9, "pa": [1.5, 2], "yes": True,
        "tt": [["a", "b c"], ["", None]], "c": "ab  ",
    }  # fmt: skip
    assert json.loads(msgspec.json.encode(event.data)) == event.data


async def test_the_schema_changes_in_the_middle(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY, a text)")
    async with listening(postgres_server) as made:
        await sql(postgres_server, "INSERT INTO orders VALUES (1, 'x')", "ALTER TABLE orders ADD b int[] DEFAULT '{7}'", "INSERT INTO orders VALUES (2, 'y', '{8}')",
                  "ALTER TABLE orders DROP a", "ALTER TABLE orders RENAME b TO c", "INSERT INTO orders VALUES (3, NULL)", "ALTER TABLE orders ALTER id TYPE text", "INSERT INTO orders VALUES ('four', NULL)")  # fmt: skip
        events = await made.wait_events(4)
    assert [event.data for event in events] == [
        {"id": 1, "a": "x"},
        {"id": 2, "a": "y", "b": [8]},
        {"id": 3, "c": None},
        {"id": "four", "c": None},
    ]


async def test_it_goes_on_where_it_was(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)")
    position: dict[str, Any] = {}
    async with listening(postgres_server, position) as made:
        await sql(postgres_server, "INSERT INTO orders VALUES (1)")
        await made.wait_events(1)
    await sql(postgres_server, "INSERT INTO orders VALUES (2)", "INSERT INTO orders VALUES (3)")
    async with listening(postgres_server, position) as made:
        events = await made.wait_events(2)
        await sql(postgres_server, "INSERT INTO orders VALUES (4)")
        await made.wait_events(3)
        assert [event.data["id"] for event in events if event.data["id"] > 1] == [2, 3, 4]


async def test_operations_schemas_and_given_names(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE SCHEMA IF NOT EXISTS shop", "CREATE TABLE shop.bare (n int)", "CREATE TABLE shop.two (n int)", "CREATE TABLE orders (id int PRIMARY KEY)",
              "CREATE PUBLICATION mine FOR ALL TABLES WITH (publish = 'insert, truncate')", "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")  # fmt: skip
    async with (
        listening(postgres_server, tables=["shop.*"], operations=["insert"]) as made,
        listening(postgres_server, slot="mine", publication="mine", tables=["orders"], operations=["insert"]) as second,
    ):
        await sql(
            postgres_server,
            "INSERT INTO shop.bare VALUES (1)",
            "UPDATE shop.bare SET n = 2",
            "INSERT INTO orders VALUES (1)",
            "INSERT INTO shop.two VALUES (1)",
        )
        assert [event.fields["table"] for event in await made.wait_events(2)] == ["shop.bare", "shop.two"]
        assert [event.fields["table"] for event in await second.wait_events(1)] == ["public.orders"]
    await Postgres(options(slot="mine", publication="mine")).retire(second)
    assert await sql(postgres_server, "SELECT slot_name::text FROM pg_replication_slots WHERE slot_name = 'mine'") == [
        ("mine",)
    ]


async def test_tables_change_without_a_gap_on_a_slot_with_a_name(postgres_server: Server) -> None:
    """Other tables are another source, which finds the slot, and a publication that is to follow; the one before gives
    back nothing of it, not even late."""
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE extra (id int PRIMARY KEY)")
    async with listening(postgres_server, slot="mine", operations=["insert"]) as first:
        await sql(postgres_server, "INSERT INTO orders VALUES (1)")
        await first.wait_events(1)
    await sql(postgres_server, "INSERT INTO orders VALUES (2)")
    given: dict[str, Any] = {"slot": "mine", "tables": ["orders", "extra"]}
    async with listening(postgres_server, **given) as second:
        await Postgres(options(slot="mine", operations=["insert"])).retire(first)
        await sql(postgres_server, "INSERT INTO extra VALUES (3)", "DELETE FROM orders WHERE id = 2")
        events = await second.wait_events(3)
        assert [(event.type, event.fields["table"]) for event in events] == [
            ("row.inserted", "public.orders"), ("row.inserted", "public.extra"), ("row.deleted", "public.orders"),
        ]  # fmt: skip
    async with listening(postgres_server, second.position, **given) as again:
        await sql(postgres_server, "INSERT INTO orders VALUES (4)")
        await again.wait_events(1)
    async with listening(postgres_server, slot="mine", tables=["public.*"]) as third:
        await sql(postgres_server, "CREATE TABLE later (id int PRIMARY KEY)", "INSERT INTO later VALUES (5)")
        assert (await third.wait_events(1))[-1].fields["table"] == "public.later"


@pytest.mark.parametrize("given", [None, "parts"])
async def test_a_partitioned_table_is_one(postgres_server: Server, given: str | None) -> None:
    """With a publication of its own, and with one that has each partition by itself."""
    await sql(postgres_server, "CREATE TABLE orders (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
              "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (10)",
              "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (10) TO (20)",
              "INSERT INTO orders SELECT g, g % 20 FROM generate_series(1, 40) g",
              "CREATE PUBLICATION parts FOR TABLE orders_1, orders_2")  # fmt: skip
    position: dict[str, Any] = {}
    for tables in (["orders"], ["public.*"]):
        position.clear()
        async with listening(
            postgres_server, position, snapshot="initial", batch=7, tables=tables, publication=given
        ) as made:
            await soon(lambda: position.get("snapshot public.orders") == "done", "the snapshot did not end")
            await sql(postgres_server, "INSERT INTO orders VALUES (100, 1)", "UPDATE orders SET at = 11 WHERE id = 100", "DELETE FROM orders WHERE id = 100")  # fmt: skip
            events = await made.wait_events(44)
        assert {event.fields["table"] for event in events} == {"public.orders"}
        assert sorted(event.data["id"] for event in events[:40]) == list(range(1, 41))
        assert [event.type for event in events[40:]] == ["row.inserted", "row.deleted", "row.inserted", "row.deleted"]
        assert not any(name.startswith("snapshot public.orders_") for name in position)
        await Postgres(options(tables=tables)).retire(made)


async def test_a_table_made_again_is_followed_again(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.postgres.replication.LOOK", 0.1)
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)")
    async with listening(postgres_server) as made:
        await sql(postgres_server, "DROP TABLE orders")
        await soon(lambda: "there is no table orders" in (made.warning or ""), "nobody misses the table")
        await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)")
        await soon(
            lambda: sql(postgres_server, "SELECT 1 FROM pg_publication_tables WHERE tablename = 'orders'"),
            "the new table is not published",
        )
        await sql(postgres_server, "INSERT INTO orders VALUES (1)")
        assert [event.data for event in await made.wait_events(1)] == [{"id": 1}]
        assert any("orders was made again" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("made", "given", "said"),
    [
        ([], {}, "there is no table orders"),
        (["CREATE TABLE orders (n int)"], {}, "REPLICA IDENTITY FULL"),
        (["CREATE TABLE orders (n int PRIMARY KEY)"], {"publication": "nowhere"}, "no publication nowhere"),
        (["CREATE TABLE orders (n int PRIMARY KEY)", "SELECT pg_create_logical_replication_slot('other', 'test_decoding')"], {"slot": "other"}, "test_decoding"),
    ],
)  # fmt: skip
async def test_what_cannot_be_followed_is_said(
    postgres_server: Server, made: list[str], given: dict[str, Any], said: str
) -> None:
    await sql(postgres_server, *made)
    recorder = Recorder()
    recorder.connections = Lent(Kind, {"url": postgres_server.url})
    with anyio.fail_after(20), pytest.raises(NotReady, match=said):
        await Postgres(options(**given)).listen(recorder)


async def test_a_slot_that_is_gone_is_said_and_nothing_is_skipped_in_silence(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)")
    position: dict[str, Any] = {}
    async with listening(postgres_server, position):
        pass
    (slot,) = (await sql(postgres_server, "SELECT slot_name::text FROM pg_replication_slots"))[0]
    await drop(postgres_server, slot)
    recorder = Recorder(position)
    recorder.connections = Lent(Kind, {"url": postgres_server.url})
    with pytest.raises(NotReady, match="are lost"):
        await Postgres(options()).listen(recorder)
    async with listening(postgres_server, position, after_loss="restart") as made:
        await sql(postgres_server, "INSERT INTO orders VALUES (5)")
        assert [event.data for event in await made.wait_events(1)] == [{"id": 5}]


def reached(position: dict[str, Any], end: bool) -> bool:
    """Whether the snapshot has begun, or has come to its end."""
    place = position.get("snapshot public.orders")
    return place == "done" if end else bool(place)


async def drop(server: Server, slot: str) -> None:
    async with connected(server) as connection:
        free = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = $1"
        await soon(lambda: connection.fetchval(free, slot), "the slot is in use", 10)
        await connection.execute("SELECT pg_drop_replication_slot($1)", slot)


async def test_the_own_slot_is_given_back(postgres_server: Server) -> None:
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)")
    async with listening(postgres_server) as made:
        pass
    await Postgres(options()).retire(made)
    assert (
        await sql(postgres_server, "SELECT 1 FROM pg_replication_slots")
        == []
        == await sql(postgres_server, "SELECT 1 FROM pg_publication")
    )
    assert made.position == {}


async def held(server: Server) -> int:
    """Bytes of the log that the slot keeps the server from removing; a checkpoint lets it know that it may."""
    await sql(server, "CHECKPOINT")
    (row,) = await sql(server, "SELECT (pg_current_wal_lsn() - restart_lsn)::int8 FROM pg_replication_slots")
    return int(row[0])


async def test_quiet_and_filtered_tables_hold_nothing_back(postgres_server: Server) -> None:
    await sql(
        postgres_server,
        "CREATE TABLE orders (id int PRIMARY KEY)",
        "CREATE TABLE other (id serial PRIMARY KEY, t text)",
    )
    async with listening(postgres_server) as made:
        (before,) = (await sql(postgres_server, "SELECT pg_current_wal_lsn()::text"))[0]
        await sql(postgres_server, "INSERT INTO other (t) SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        (written,) = (await sql(postgres_server, f"SELECT (pg_current_wal_lsn() - '{before}'::pg_lsn)::int8"))[0]
        assert written > 10 * 1024**2

        async def little_is_held() -> bool:
            return await held(postgres_server) <= 1024**2

        await soon(little_is_held, "the server keeps what was read", 60)
        assert made.events == []


async def test_more_than_max_lag_is_warned_of_and_given_up(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggers.postgres import replication as _postgres

    monkeypatch.setattr(_postgres, "LOOK", 0.1)
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY, t text)")
    made = Recorder()
    made.connections = Lent(Kind, {"url": postgres_server.url})
    stuck = anyio.Event()

    class Never:
        def __await__(self) -> Any:
            stuck.set()
            yield from anyio.sleep_forever().__await__()

    async def full(event: Event, cursors: Any = ()) -> Any:
        return Never()

    made.offer = full  # type: ignore[method-assign]
    said = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def fill() -> None:
                await made.is_ready.wait()
                for number in range(100):
                    await sql(
                        postgres_server,
                        f"INSERT INTO orders VALUES ({number}, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 10000) n))",
                    )
                    behind = made.behind
                    await soon(partial(lambda earlier: made.behind != earlier, behind), "the insert was not looked at")

            group.start_soon(fill)
            try:
                await Postgres(options(max_lag="4MiB")).listen(made)
            except NotReady as error:
                said.append(str(error))
            group.cancel_scope.cancel()
    assert "given up" in said[0]
    assert stuck.is_set() and made.warning is not None and "holds back" in made.warning
    assert await sql(postgres_server, "SELECT 1 FROM pg_replication_slots") == []
    with pytest.raises(NotReady, match="max_lag 4MiB"):
        await Postgres(options(max_lag="4MiB")).listen(made)


async def test_a_snapshot_is_one_with_the_stream(postgres_server: Server) -> None:
    """Rows change all the time while the snapshot goes on, and it is interrupted: what comes out, in its order, leads to
    the table as it is."""
    await sql(postgres_server, "CREATE TABLE orders (id int, part text, n int, PRIMARY KEY (part, id))", "INSERT INTO orders SELECT g, 'p' || g % 3, 0 FROM generate_series(1, 3000) g",
              "CREATE TABLE empty (id int PRIMARY KEY)")  # fmt: skip
    position: dict[str, Any] = {}
    state: dict[tuple[str, int], int] = {}
    keys: list[str] = []
    stop = anyio.Event()

    async def change() -> None:
        async with connected(postgres_server) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                at = number * 7 % 3000 + 1
                await connection.execute("UPDATE orders SET n = n + 1 WHERE id = $1", at)
                if number % 10 == 0:
                    await connection.execute("DELETE FROM orders WHERE id = $1", number * 13 % 3000 + 1)
                if number % 11 == 0:
                    await connection.execute("INSERT INTO orders VALUES ($1, 'q', 0)", 3000 + number)

    def take(made: Recorder) -> None:
        for event in made.events:
            if event.key in keys[-5000:]:
                continue
            keys.append(str(event.key))
            old, new = event.fields["old"], event.data
            if event.type == "row.deleted":
                state.pop((old["part"], old["id"]), None)
            else:
                state[(new["part"], new["id"])] = new["n"]

    async with anyio.create_task_group() as group:
        group.start_soon(change)
        lives = 0
        while position.get("snapshot public.orders") != "done":
            lives += 1
            before = position.get("snapshot public.orders")
            async with listening(
                postgres_server, position, snapshot="initial", batch=250, tables=["orders", "empty"]
            ) as made:
                await soon(
                    partial(lambda earlier: position.get("snapshot public.orders") != earlier, before),
                    "the snapshot does not go on",
                )
            take(made)
            assert lives < 60
        stop.set()
    assert lives > 5, "it was interrupted"
    async with listening(postgres_server, position, snapshot="initial", batch=250, tables=["orders", "empty"]) as made:
        await sql(postgres_server, "INSERT INTO orders VALUES (-1, 'end', 0)")
        await soon(
            lambda: any(event.data and event.data["id"] == -1 for event in made.events), "the last row did not come"
        )
    take(made)
    assert not any(event.fields["snapshot"] for event in made.events), "the snapshot is not taken again"
    there = {(part, id): n for part, id, n in await sql(postgres_server, "SELECT part, id, n FROM orders")}
    assert state == there


async def test_marks_of_an_earlier_life_end_no_chunk(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not confirmed comes again: the marks around a chunk that an earlier life read say nothing of this one's
    first chunk, which was taken as handed over before its rows were read."""
    await sql(postgres_server, "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders SELECT generate_series(1, 1000)")  # fmt: skip
    written: list[str] = []
    again: list[str] = []
    taken: list[str] = []
    plain_write, plain_mark = Snapshot._write, Snapshot.mark

    async def write(self: Snapshot, session: Any, mark: str) -> None:
        await plain_write(self, session, mark)
        written.append(mark)
        if again:
            for earlier in [*again, "fence"]:
                await plain_write(self, session, earlier)
            again.clear()
            await soon(lambda: "fence" in taken, "no fence was taken")

    async def mark(self: Snapshot, text: str, begin: Any) -> None:
        if text.startswith("high") and "fence" in taken:
            with anyio.move_on_after(0.5):  # nobody may leave the chunk while its own mark is late
                while self._chunk is not None:
                    await anyio.sleep(0.005)
        await plain_mark(self, text, begin)
        taken.append(text)

    monkeypatch.setattr(Snapshot, "_write", write)
    monkeypatch.setattr(Snapshot, "mark", mark)
    position: dict[str, Any] = {}
    ids: set[int] = set()
    for until_done in (False, True):
        again += written
        async with listening(postgres_server, position, snapshot="initial", batch=100) as made:
            await soon(partial(reached, position, until_done), "there is no snapshot")
        ids |= {event.data["id"] for event in made.events}
    assert "fence" in taken and ids == set(range(1, 1001))


async def test_notifications(postgres_server: Server) -> None:
    async with listening(postgres_server, kind=Notify, channel="News", decode="json") as made:
        await sql(postgres_server, "SELECT pg_notify('News', '{\"a\": 1}')", "NOTIFY \"News\", 'no json'")
        events = await made.wait_events(2)
    assert (
        events[0].type == "postgres.notification"
        and events[0].data == {"a": 1}
        and events[0].fields["channel"] == "News"
    )
    assert events[1].invalid is not None


def test_options_that_are_wrong() -> None:
    given: dict[str, Any]
    for given in (
        {"tables": []},
        {"tables": ["a.b.c"]},
        {"tables": ["a b"]},
        {"slot": "Upper"},
        {"max_lag": "1"},
        {"batch": 0},
        {"operations": []},
    ):
        assert Postgres.problems(options(**given)), given
    assert Postgres.problems(options(tables=["public.*", "a.b"])) == []
    assert Notify.problems(msgspec.convert({"connection": "x", "channel": "a b"}, NotifyOptions))
