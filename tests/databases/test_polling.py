"""The sql trigger against each real database."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import msgspec
import pytest

from flows.loader import load_text
from plugins.connections.postgres import Postgres
from reactor.contracts.errors import NotReady
from reactor.testing.trigger_suite import Recorder
from tests import services
from tests.brokers.harness import down_and_back, numbers, settle, wait_runs
from tests.daemon import Daemon, eventually
from tests.databases.conftest import Known
from tests.flows_help import KINDS
from tests.waiting import soon
from triggers.sql import Sql

pytestmark = pytest.mark.anyio
LOCK = {"postgres": " FOR UPDATE SKIP LOCKED", "mysql": " FOR UPDATE SKIP LOCKED", "sqlite": ""}


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", "every": "50ms", **given}, Sql.Options)


@asynccontextmanager
async def listening(known: Known, position: dict[str, Any], chosen: Any) -> AsyncIterator[Recorder]:
    made = Recorder(position)
    made.connections = known.lent
    async with anyio.create_task_group() as group:
        group.start_soon(Sql(chosen).listen, made)
        with anyio.fail_after(10):
            await made.is_ready.wait()
        yield made
        group.cancel_scope.cancel()


@pytest.fixture
async def things(known: Known) -> Known:
    await known.run("DROP TABLE IF EXISTS things", "CREATE TABLE things (id INT PRIMARY KEY, at INT, n INT, done INT DEFAULT 0)")  # fmt: skip
    return known


async def add(known: Known, *rows: tuple[int, int]) -> None:
    await known.run(*(f"INSERT INTO things (id, at, n) VALUES ({id}, {at}, {id})" for id, at in rows))


async def test_equal_values_are_neither_missed_nor_doubled(things: Known) -> None:
    """Ties over the ends of turns, by a cursor of one column and by one with a tie-breaker, through restarts."""
    await add(things, *((n, n // 7) for n in range(100)))
    ways = (
        options(query="SELECT * FROM things WHERE at > :cursor ORDER BY at", cursor="at", start=-1, limit=10),
        options(query="SELECT * FROM things WHERE at > :at OR (at = :at AND id > :id) ORDER BY at, id", cursor=["at", "id"], start=[-1, -1], limit=10),
    )  # fmt: skip
    for chosen in ways:
        position: dict[str, Any] = {}
        seen: list[int] = []
        while len(seen) < 100:
            async with listening(things, position, chosen) as made:
                await made.wait_events(1)
            seen += [event.data["id"] for event in made.events]
        assert sorted(seen) == list(range(100)), chosen.cursor
    async with listening(things, position, ways[1]) as made:
        await add(things, (101, 14), (102, 14))
        events = await made.wait_events(2)
        assert [event.data["id"] for event in events] == [101, 102]
        assert events[0].type == "sql.row" and events[0].alias == "row" and events[0].key != events[1].key


async def test_too_many_equal_values_are_said(things: Known) -> None:
    await add(things, *((n, 5) for n in range(20)))
    made = Recorder({})
    made.connections = things.lent
    chosen = options(query="SELECT * FROM things WHERE at > :cursor ORDER BY at", cursor="at", limit=10)
    with pytest.raises(NotReady, match="second column"):
        await Sql(chosen).listen(made)


async def test_the_start_is_meant_once(things: Known) -> None:
    await add(things, (1, 1), (2, 1))
    chosen = options(query="SELECT * FROM things WHERE id > :cursor ORDER BY id", cursor="id", start_query="SELECT max(id) AS id FROM things")  # fmt: skip
    position: dict[str, Any] = {}
    async with listening(things, position, chosen) as made:
        await add(things, (3, 1))
        assert [event.data["id"] for event in await made.wait_events(1)] == [3]
    await add(things, (4, 1))
    async with listening(things, position, chosen) as made:
        assert [event.data["id"] for event in await made.wait_events(1)] == [4]


async def test_rows_are_claimed_once(things: Known) -> None:
    await add(things, *((n, 0) for n in range(40)))
    chosen = options(
        query=f"SELECT * FROM things WHERE done = 0 ORDER BY id LIMIT :limit{LOCK[things.dialect]}",
        after="UPDATE things SET done = 1 WHERE id = :id", key="id", limit=10,
    )  # fmt: skip
    async with listening(things, {}, chosen) as made:
        assert [event.data["id"] for event in await made.wait_events(40)] == list(range(40))
        await add(things, (50, 0))
        await made.wait_events(41)

        async def all_done() -> bool:
            (row,) = await things.run("SELECT count(*) AS n FROM things WHERE done = 0")
            return bool(row == {"n": 0})

        await soon(all_done, "not all were marked", 10)
    assert len({event.key for event in made.events}) == 41


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"query": "SELECT 1"}, "claims"),
        ({"query": "SELECT 1", "cursor": "id"}, "would read all again"),
        ({"query": "SELECT :other", "cursor": "id"}, "no parameter :other"),
        ({"query": "SELECT :a, :b", "cursor": ["a", "b"]}, "each of a, b"),
        ({"query": "SELECT :id", "cursor": "id", "key": "id"}, "excludes"),
        ({"query": "SELECT 1", "key": "id", "every": "1ms"}, "50ms"),
        ({"query": "SELECT 1", "key": "id", "limit": 0}, "limit"),
    ],
)
def test_options_that_are_wrong(given: dict[str, Any], said: str) -> None:
    found = Sql.problems(options(**given))
    assert any(said in message for _, message in found), found


def test_the_loader_names_what_is_wrong() -> None:
    text = "when:\n  - sql: {connection: 'sqlite:///x.db', query: 'SELECT * FROM t', cursor: id}\ndo: []\n"
    (document,) = load_text(text, "f.yaml", "/", KINDS)
    assert any("would read all again" in str(problem) for problem in document.problems), document.problems


def test_kills_in_the_middle_lose_and_double_nothing(known: Known, tmp_path: Path) -> None:
    """10,000 rows with ties, three kills of the daemon."""
    anyio.run(known.run, "DROP TABLE IF EXISTS flood", "CREATE TABLE flood (n INT PRIMARY KEY, at INT)")
    daemon = Daemon(tmp_path)
    where = "at > :at OR (at = :at AND n > :n)"
    daemon.flow("sink.yaml", f"flow: sink\nwhen:\n  - sql:\n      connection: '{known.url}'\n      query: SELECT * FROM flood WHERE {where} ORDER BY at, n LIMIT :limit\n"
        "      cursor: [at, n]\n      start: [-1, -1]\n      every: 50ms\ndo: [{set: {n: '${{ event.row.n }}'}}]\noutput: ${{ vars.n }}\n")  # fmt: skip
    daemon.start()
    settle(daemon)

    def write() -> None:
        for place in range(0, 10_000, 500):
            values = ", ".join(f"({n}, {n // 90})" for n in range(place, place + 500))
            anyio.run(known.run, f"INSERT INTO flood (n, at) VALUES {values}")

    writer = threading.Thread(target=write)
    writer.start()
    for share in (1000, 4000, 8000):
        eventually(lambda share=share: len(numbers(daemon)) > share, 60, "it stands still")
        daemon.kill()
        daemon.start()
    writer.join()
    eventually(lambda: len(numbers(daemon)) >= 10_000, 60, f"only {len(numbers(daemon))}")
    found = numbers(daemon)
    assert set(found) == set(range(10_000)) and max(found.values()) == 1
    assert daemon.stop() == 0


def test_a_database_that_is_down_delays_only_its_own(tmp_path: Path) -> None:
    server = services.Postgres()
    server.start()
    known = Known("postgres", server.url, Postgres)
    anyio.run(known.run, "CREATE TABLE late (n INT PRIMARY KEY)")

    def publish(part: Any) -> None:
        anyio.run(known.run, *(f"INSERT INTO late VALUES ({n})" for n in part))

    try:
        down_and_back(Daemon(tmp_path), server, publish, f"sql: {{connection: '{server.url}', query: 'SELECT * FROM late WHERE n > :cursor ORDER BY n', cursor: n, start: -1, every: 100ms}}")  # fmt: skip
    finally:
        server.close()


def test_equal_rows_of_two_queries_are_two_events(tmp_path: Path) -> None:
    """Two tables whose rows have the same keys, in one database: none is taken for the other's."""
    database = tmp_path / "shop.db"
    with apsw.Connection(str(database)) as shop:
        shop.execute("CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER)")
        shop.execute("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (2), (1)")
    daemon = Daemon(tmp_path)
    for table in ("a", "b"):
        trigger = f"sql: {{connection: 'sqlite://{database}', query: 'SELECT id FROM {table}', key: id, every: 50ms}}"
        daemon.flow(f"{table}.yaml", f"flow: {table}\nwhen: [{{{trigger}}}]\ndo: []\noutput: ${{{{ event.row.id }}}}\n")
    with daemon:
        for table in ("a", "b"):
            assert sorted(run["output"] for run in wait_runs(daemon, table, 2)) == [1, 2]
