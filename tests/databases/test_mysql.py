"""Change capture from a real MariaDB."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiomysql
import anyio
import hypothesis
import msgspec
import pymysql
import pytest
from hypothesis import strategies

from plugins.connections.mysql import Mysql as Kind
from reactor.contracts.errors import NotReady
from reactor.contracts.event import Event
from reactor.testing.trigger_suite import Recorder
from tests import services
from tests.brokers.harness import Lent
from tests.waiting import soon
from triggers.mysql.kind import Mysql
from triggers.mysql.position import MariaPosition, MysqlPosition

pytestmark = pytest.mark.anyio
Server = services.Mariadb


@pytest.fixture(autouse=True)
def clean(mariadb_server: Server) -> Iterator[None]:
    yield
    with pymysql.connect(host=mariadb_server.host, port=mariadb_server.port, user="root") as connection:
        connection.cursor().execute("DROP DATABASE shop")
        connection.cursor().execute("CREATE DATABASE shop")


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Any]:
    connection = await aiomysql.connect(host=server.host, port=server.port, user="root", db="shop", autocommit=True)
    try:
        yield connection
    finally:
        await connection.ensure_closed()


async def sql(server: Server, *queries: str) -> list[Any]:
    async with connected(server) as connection, connection.cursor() as cursor:
        for query in queries:
            await cursor.execute(query)
        return list(await cursor.fetchall())


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", "tables": ["orders"], **given}, Mysql.Options)


@asynccontextmanager
async def listening(server: Server, position: dict[str, Any] | None = None, **given: Any) -> AsyncIterator[Recorder]:
    made = Recorder(position)
    made.connections = Lent(Kind, {"url": server.url})
    async with anyio.create_task_group() as group:
        group.start_soon(Mysql(options(**given)).listen, made)
        with anyio.fail_after(15):
            await made.is_ready.wait()
        yield made
        group.cancel_scope.cancel()


def seen(events: list[Event]) -> list[tuple[str, Any, Any]]:
    return [(event.type.removeprefix("row."), event.fields["old"], event.fields["new"]) for event in events]


async def test_changes_of_all_kinds_in_order(mariadb_server: Server) -> None:
    await sql(
        mariadb_server,
        "CREATE TABLE orders (id int PRIMARY KEY, total decimal(30,2), note text)",
        "CREATE TABLE other (id int PRIMARY KEY)",
    )
    async with listening(mariadb_server) as made:
        await sql(mariadb_server, "INSERT INTO orders VALUES (1, 12.50, 'a'), (2, 1, NULL)", "INSERT INTO other VALUES (1)",
                  "UPDATE orders SET total = 99999999999999999999.5 WHERE id = 1", "UPDATE orders SET id = 3 WHERE id = 2",
                  "DELETE FROM orders WHERE id = 1", "TRUNCATE TABLE orders")  # fmt: skip
        events = await made.wait_events(6)
    one, two = {"id": 1, "total": 12.5, "note": "a"}, {"id": 2, "total": 1, "note": None}
    large = {"id": 1, "total": "99999999999999999999.50", "note": "a"}
    assert seen(events) == [
        ("inserted", None, one), ("inserted", None, two), ("updated", one, large),
        ("updated", two, {"id": 3, "total": 1, "note": None}), ("deleted", large, None), ("truncated", None, None),
    ]  # fmt: skip
    first, second = events[0], events[1]
    assert (
        first.fields["table"] == "shop.orders"
        and first.source == "mysql:shop.orders"
        and first.data == first.fields["new"]
    )
    assert first.fields["position"] == second.fields["position"] and str(first.fields["position"]).count("-") == 2
    assert first.key != second.key and str(first.key).endswith("/0") and str(second.key).endswith("/1")
    assert str(first.fields["committed"]).endswith("Z") and len({event.key for event in events}) == 6


TYPED = """CREATE TABLE orders (id bigint unsigned PRIMARY KEY, d datetime(3), t timestamp(2) NULL, day date, clock time(1), y year, f float, dd double,
    e enum('a','b'), s set('x','y','z'), b blob, v varbinary(8), bits bit(12), n decimal(6,2), flag bool, txt varchar(20))"""
VALUES = """INSERT INTO orders VALUES (18446744073709551615, '2026-11-21 10:00:00.25', '2026-11-21 10:00:00.5', '2026-11-21', '-26:30:01.5', 2026, 0.1, 0.1,
    'b', 'z,x', X'00ff', 'raw', b'101', 9.90, true, 'grün 🔑'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL)"""
PLAIN = [
    {"id": 18446744073709551615, "d": "2026-11-21T10:00:00.250000", "t": "2026-11-21T10:00:00.500000Z", "day": "2026-11-21", "clock": "-P1DT9001.5S",
     "y": 2026, "f": 0.1, "dd": 0.1, "e": "b", "s": ["x", "z"], "b": "AP8=", "v": "cmF3", "bits": 5, "n": 9.9, "flag": 1, "txt": "grün 🔑"},
    {"id": 2, "d": None, "t": None, "day": None, "clock": None, "y": None, "f": None, "dd": None, "e": None, "s": [], "b": None, "v": None,
     "bits": None, "n": None, "flag": None, "txt": None},
]  # fmt: skip


async def test_values_have_their_types_in_stream_and_snapshot(mariadb_server: Server) -> None:
    await sql(mariadb_server, "SET time_zone = '+00:00'", TYPED)
    async with listening(mariadb_server) as made:
        await sql(mariadb_server, "SET time_zone = '+00:00'", VALUES)
        await made.wait_events(2)
    assert [event.data for event in made.events] == PLAIN
    async with listening(mariadb_server, snapshot="initial") as made:
        await made.wait_events(2)
    assert sorted((event.data for event in made.events), key=lambda row: -row["id"]) == PLAIN
    assert all(event.fields["snapshot"] and event.type == "row.inserted" for event in made.events)


async def test_the_schema_changes_in_the_middle(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY, a text)")
    position: dict[str, Any] = {}
    async with listening(mariadb_server, position):
        pass
    await sql(mariadb_server, "INSERT INTO orders VALUES (1, 'x')", "ALTER TABLE orders ADD b int FIRST", "INSERT INTO orders (b, id, a) VALUES (8, 2, 'y')",
              "ALTER TABLE orders DROP a", "ALTER TABLE orders CHANGE b c varchar(10)", "INSERT INTO orders (id, c) VALUES (3, 'z')")  # fmt: skip
    async with listening(mariadb_server, position) as made:
        events = await made.wait_events(3)
    assert [event.data for event in events] == [{"id": 1, "a": "x"}, {"b": 8, "id": 2, "a": "y"}, {"c": "z", "id": 3}]


async def test_it_goes_on_where_it_was(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (0)")
    position: dict[str, Any] = {}
    async with listening(mariadb_server, position) as made:
        await sql(mariadb_server, "INSERT INTO orders VALUES (1)")
        (known,) = await made.wait_events(1)
    assert known.data["id"] == 1
    await sql(mariadb_server, "INSERT INTO orders VALUES (2)", "INSERT INTO orders VALUES (3)")
    async with listening(mariadb_server, position) as made:
        await sql(mariadb_server, "INSERT INTO orders VALUES (4)")
        await soon(lambda: made.events and made.events[-1].data["id"] == 4, "the last row did not come", 10)
    again = [event for event in made.events if event.key == known.key]
    assert [event.data["id"] for event in made.events if event not in again] == [2, 3, 4]
    assert len(again) <= 1, "what was not kept as taken comes again, under the same key"


async def test_operations_and_whole_databases(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE bare (n int)")
    async with listening(mariadb_server, tables=["shop.*"], operations=["insert"]) as made:
        await sql(
            mariadb_server,
            "INSERT INTO bare VALUES (1)",
            "UPDATE bare SET n = 2",
            "DELETE FROM bare",
            "CREATE TABLE late (n int)",
            "INSERT INTO late VALUES (1)",
        )
        assert [event.fields["table"] for event in await made.wait_events(2)] == ["shop.bare", "shop.late"]


async def test_a_quiet_table_moves_the_position_too(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")
    position: dict[str, Any] = {}
    async with listening(mariadb_server, position) as made:
        await sql(mariadb_server, "INSERT INTO other VALUES (1)", "INSERT INTO other VALUES (2)")
        (row,) = await sql(mariadb_server, "SELECT @@gtid_binlog_pos")
        await soon(lambda: position["gtid"] == row[0], "the position does not follow", 10)
        assert made.events == []


async def test_a_log_that_is_gone_is_said_and_nothing_is_skipped_in_silence(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)")
    position: dict[str, Any] = {}
    async with listening(mariadb_server, position):
        pass
    await sql(
        mariadb_server,
        "INSERT INTO orders VALUES (1)",
        "FLUSH BINARY LOGS",
        "INSERT INTO orders VALUES (2)",
        "FLUSH BINARY LOGS",
    )
    (last, *_) = (await sql(mariadb_server, "SHOW BINARY LOGS"))[-1]

    async def only_one_is_left() -> bool:
        return len(await sql(mariadb_server, f"PURGE BINARY LOGS TO '{last}'", "SHOW BINARY LOGS")) == 1

    await soon(only_one_is_left, "the old logs are not removed")
    recorder = Recorder(position)
    recorder.connections = Lent(Kind, {"url": mariadb_server.url})
    with anyio.fail_after(20), pytest.raises(NotReady, match="changes are lost"):
        await Mysql(options()).listen(recorder)
    with anyio.fail_after(20), pytest.raises(NotReady, match="anew"):
        await Mysql(options(after_loss="restart")).listen(recorder)
    async with listening(mariadb_server, position, after_loss="restart") as made:
        await sql(mariadb_server, "INSERT INTO orders VALUES (5)")
        assert [event.data for event in await made.wait_events(1)] == [{"id": 5}]


@pytest.mark.parametrize(
    ("setting", "back"),
    [("binlog_format = MIXED", "binlog_format = ROW"), ("binlog_row_metadata = MINIMAL", "binlog_row_metadata = FULL")],
)
async def test_settings_that_do_not_do_are_said(mariadb_server: Server, setting: str, back: str) -> None:
    recorder = Recorder()
    recorder.connections = Lent(Kind, {"url": mariadb_server.url})
    await sql(mariadb_server, f"SET GLOBAL {setting}")
    try:
        with pytest.raises(NotReady, match=back):
            await Mysql(options()).listen(recorder)
    finally:
        await sql(mariadb_server, f"SET GLOBAL {back}")
    with pytest.raises(NotReady, match="no table orders"):
        await Mysql(options()).listen(recorder)


@pytest.mark.parametrize(("made", "said"), [("VIEW orders AS SELECT 1 AS id", "a view, not a table"), ("TABLE orders (id int PRIMARY KEY) WITH SYSTEM VERSIONING", "system-versioned"), ("SEQUENCE orders", "a sequence")])  # fmt: skip
async def test_what_has_no_changes_of_its_own_is_said(mariadb_server: Server, made: str, said: str) -> None:
    await sql(mariadb_server, f"CREATE {made}")
    recorder = Recorder()
    recorder.connections = Lent(Kind, {"url": mariadb_server.url})
    with anyio.fail_after(20), pytest.raises(NotReady, match=said):
        await Mysql(options()).listen(recorder)


async def test_generated_columns_are_in_snapshot_and_stream(mariadb_server: Server) -> None:
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY, v int AS (id * 2) VIRTUAL, p int AS (id * 3) PERSISTENT)", "INSERT INTO orders (id) VALUES (1)")  # fmt: skip
    async with listening(mariadb_server, snapshot="initial") as made:
        await made.wait_events(1)
        await sql(mariadb_server, "INSERT INTO orders (id) VALUES (2)")
        assert [event.data for event in await made.wait_events(2)] == [
            {"id": n, "v": 2 * n, "p": 3 * n} for n in (1, 2)
        ]


async def test_a_snapshot_is_one_with_the_stream(mariadb_server: Server) -> None:
    """Rows change all the time while the snapshot goes on, and it is interrupted: what comes out, in its order, leads to
    the table as it is."""
    await sql(mariadb_server, "CREATE TABLE orders (id int, part varchar(5), n int, PRIMARY KEY (part, id))",
              "INSERT INTO orders SELECT seq, concat('p', seq % 3), 0 FROM seq_1_to_3000", "CREATE TABLE empty (id int PRIMARY KEY)")  # fmt: skip
    position: dict[str, Any] = {}
    state: dict[tuple[str, int], int] = {}
    keys: list[str] = []
    stop = anyio.Event()
    chance = random.Random(7)

    async def change() -> None:
        async with connected(mariadb_server) as connection, connection.cursor() as cursor:
            number = 0
            while not stop.is_set():
                number += 1
                at = chance.randint(1, 3000)
                await cursor.execute(f"UPDATE orders SET n = n + 1 WHERE id = {at}")
                if number % 10 == 0:
                    await cursor.execute(f"DELETE FROM orders WHERE id = {chance.randint(1, 3000)}")
                if number % 11 == 0:
                    await cursor.execute(f"INSERT INTO orders VALUES ({3000 + number}, 'q', 0)")

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

    given: dict[str, Any] = {"snapshot": "initial", "batch": 250, "tables": ["orders", "empty"]}
    async with anyio.create_task_group() as group:
        group.start_soon(change)
        lives = 0
        while position.get("snapshot shop.orders") != "done":
            lives += 1
            before = position.get("snapshot shop.orders")
            async with listening(mariadb_server, position, **given) as made:
                await soon(
                    partial(lambda earlier: position.get("snapshot shop.orders") != earlier, before),
                    "the snapshot does not go on",
                )
            take(made)
            assert lives < 60
        stop.set()
    assert lives > 5, "it was interrupted"
    async with listening(mariadb_server, position, **given) as made:
        await sql(mariadb_server, "INSERT INTO orders VALUES (-1, 'end', 0)")
        await soon(
            lambda: any(event.data and event.data["id"] == -1 for event in made.events), "the last row did not come"
        )
    take(made)
    there = {(part, id): n for part, id, n in await sql(mariadb_server, "SELECT part, id, n FROM orders")}
    assert state == there


def test_options_that_are_wrong() -> None:
    given: dict[str, Any]
    for given in (
        {"tables": []},
        {"tables": ["a.b.c"]},
        {"tables": ["a b"]},
        {"server_id": 0},
        {"max_lag": "x"},
        {"batch": 0},
        {"operations": []},
    ):
        assert Mysql.problems(options(**given)), given
    assert Mysql.problems(options(tables=["shop.*", "a.b"])) == []


def test_positions_of_mariadb() -> None:
    one = MariaPosition("0-1-5, 1-2-7")
    assert one.has("0-9-5") and not one.has("0-1-6") and not one.has("2-1-1")
    one.add("0-3-6")
    assert str(one) == "0-3-6,1-2-7" and one.reaches(MariaPosition("0-1-6")) and not one.reaches(MariaPosition("2-1-1"))
    assert one.reaches(MariaPosition("")) and str(MariaPosition("")) == ""


@hypothesis.given(
    strategies.lists(strategies.tuples(strategies.sampled_from("AB"), strategies.integers(1, 30)), max_size=40)
)
def test_positions_of_mysql_are_sets(items: list[tuple[str, int]]) -> None:
    position = MysqlPosition("")
    for server, number in items:
        position.add(f"{server}:{number}")
    there = {(server.lower(), number) for server, number in items}
    assert all(
        position.has(f"{server}:{number}") == ((server.lower(), number) in there)
        for server in "AB"
        for number in range(32)
    )
    again = MysqlPosition(str(position))
    assert str(again) == str(position) and again.reaches(position) and position.reaches(again)
