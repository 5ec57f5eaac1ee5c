"""The sql actions against each real database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies

from plugins.actions import sql
from plugins.connections.mysql import Mysql
from plugins.connections.mysql import Settings as MysqlSettings
from plugins.connections.postgres import Postgres
from plugins.connections.sqlite import Sqlite
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.kit.sql import parse_statement
from tests.databases.conftest import Known
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio
HOSTILE = ["'; DROP TABLE things; --", '"; DROP TABLE things; --', "\\'; DROP TABLE things; #", "%s %(x)s :name $1 ?", "ключ🔑",
           "\\", "''", "\u00bf\u0027 OR 1=1", "a\nb\tc", "${{ secrets.x }}", "1 OR 1=1"]  # fmt: skip


@pytest.fixture
async def things(known: Known) -> Known:
    await known.run("DROP TABLE IF EXISTS things", "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(200), price NUMERIC(12,3))")  # fmt: skip
    return known


async def act(action: Any, known: Known, folder: Path, **given: Any) -> Any:
    here = context(folder)
    here.connection = known.lent.lend
    return await call(action, here, connection="x", **given)


async def fails(action: Any, known: Known, folder: Path, **given: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        await act(action, known, folder, **given)
    return caught.value


async def test_write_and_read(things: Known, tmp_path: Path) -> None:
    done = await act(sql.Execute, things, tmp_path, query="INSERT INTO things VALUES (:id, :name, :price)", params={"id": 1, "name": "a", "price": 12.5})  # fmt: skip
    assert done["count"] == 1
    done = await act(sql.Execute, things, tmp_path, query="INSERT INTO things VALUES (:1, :2, :3)", params=[2, None, 7])
    assert done["count"] == 1
    found = await act(sql.Query, things, tmp_path, query="SELECT id, name, price FROM things WHERE id >= :least ORDER BY id", params={"least": 1})  # fmt: skip
    assert found["rows"] == [{"id": 1, "name": "a", "price": 12.5}, {"id": 2, "name": None, "price": 7}]
    assert (found["count"], found["more"], found["columns"]) == (2, False, ["id", "name", "price"])
    cut = await act(sql.Query, things, tmp_path, query="SELECT id FROM things ORDER BY id", limit=1)
    assert (cut["rows"], cut["more"]) == ([{"id": 1}], True)
    assert (await act(sql.Execute, things, tmp_path, query="UPDATE things SET name = 'b'"))["count"] == 2


async def test_hostile_parameters_change_no_statement(things: Known, tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE):
        await act(sql.Execute, things, tmp_path, query="INSERT INTO things VALUES (:id, :name, 0)", params={"id": number, "name": text})  # fmt: skip
        found = await act(sql.Query, things, tmp_path, query="SELECT id FROM things WHERE name = :name", params={"name": text})  # fmt: skip
        assert found["rows"] == [{"id": number}], text
    rows = [{"id": 100 + n, "name": text, "evil` , name = 'x": 1} for n, text in enumerate(HOSTILE)]
    await act(sql.Insert, things, tmp_path, table="things", columns=["id", "name"], rows=rows)
    found = await act(sql.Query, things, tmp_path, query="SELECT name FROM things WHERE id >= 100 ORDER BY id")
    assert [row["name"] for row in found["rows"]] == HOSTILE
    assert await things.run("SELECT count(*) AS n FROM things") == [{"n": 2 * len(HOSTILE)}]


async def test_insert_and_upsert_are_all_or_none(things: Known, tmp_path: Path) -> None:
    rows = [{"id": n, "name": f"n{n}", "price": n / 8} for n in range(1200)]
    shape: dict[str, Any] = {"table": "things", "columns": ["id", "name", "price"]}
    assert (await act(sql.Insert, things, tmp_path, rows=rows, **shape))["count"] == 1200
    error = await fails(sql.Insert, things, tmp_path, rows=[{"id": 5000}, {"id": 1}], **shape)
    assert error.type == "sql.constraint" and error.details["sqlstate"].startswith("23")
    assert await things.run("SELECT count(*) AS n FROM things") == [{"n": 1200}]
    skipped = await act(sql.Insert, things, tmp_path, rows=[{"id": 1, "name": "x"}, {"id": 2000}], on_conflict="skip", **shape)  # fmt: skip
    assert skipped["count"] == 1
    assert await things.run("SELECT name FROM things WHERE id = 1") == [{"name": "n1"}]
    upsert = await act(sql.Upsert, things, tmp_path, rows=[{"id": 1, "name": "new", "price": 1}, {"id": 3000, "name": "own"}], key=["id"], update=["name"], **shape)  # fmt: skip
    assert upsert == {"count": 2}
    assert await things.run("SELECT name, price FROM things WHERE id IN (1, 3000) ORDER BY id") == [
        {"name": "new", "price": 0.125}, {"name": "own", "price": None}]  # fmt: skip
    assert (await act(sql.Insert, things, tmp_path, rows=[], **shape))["count"] == 0


async def test_transaction(things: Known, tmp_path: Path) -> None:
    insert = {"query": "INSERT INTO things (id, name) VALUES (:id, :reactor_key)", "params": {"id": 1}}
    update = {"query": "UPDATE things SET name = 'u' WHERE id = :id", "params": {"id": 99}, "expect": 1}
    error = await fails(sql.Transaction, things, tmp_path, statements=[insert, update])
    assert error.type == "sql.unexpected" and error.details == {"statement": 2, "count": 0}
    assert await things.run("SELECT count(*) AS n FROM things") == [{"n": 0}]
    done = await act(sql.Transaction, things, tmp_path, statements=[insert, {**update, "params": {"id": 1}}])
    assert [result["count"] for result in done["results"]] == [1, 1]
    assert await things.run("SELECT name FROM things") == [{"name": "u"}]


async def test_a_query_cannot_write(things: Known, tmp_path: Path) -> None:
    error = await fails(sql.Query, things, tmp_path, query="INSERT INTO things (id) VALUES (1)")
    assert error.type == "sql.transaction" and "sql.execute" in str(error) and error.details["sqlstate"] == "25006"
    assert await things.run("SELECT count(*) AS n FROM things") == [{"n": 0}]


async def test_errors_have_their_state(things: Known, tmp_path: Path) -> None:
    error = await fails(sql.Query, things, tmp_path, query="SELEC 1")
    assert error.type == "sql.syntax" and error.details["sqlstate"].startswith("42") and not error.retryable
    error = await fails(sql.Query, things, tmp_path, query="SELECT * FROM nowhere")
    assert error.type == "sql.syntax" and "nowhere" in str(error)
    error = await fails(sql.Query, things, tmp_path, query="SELECT :x", params={"y": 1})
    assert error.type == "expression" and ":x" in str(error)
    assert (await fails(sql.Query, things, tmp_path, query="SELECT 1", limit=0)).type == "expression"
    assert (await fails(sql.Query, things, tmp_path, query="SELECT 1", timeout="soon")).type == "expression"


SLOW = {
    "postgres": "SELECT pg_sleep(20)", "mysql": "SELECT sleep(20)",
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS n FROM n",
}  # fmt: skip


async def test_a_slow_statement_is_cancelled(things: Known, tmp_path: Path) -> None:
    with anyio.fail_after(8):
        if things.dialect != "mysql":
            error = await fails(sql.Query, things, tmp_path, query=SLOW[things.dialect], timeout="200ms")
            assert error.type == "sql.timeout" and error.retryable
        with anyio.move_on_after(0.3) as scope:
            await act(sql.Query, things, tmp_path, query=SLOW[things.dialect])
        assert scope.cancelled_caught
    assert (await act(sql.Query, things, tmp_path, query="SELECT 1 AS one"))["rows"] == [{"one": 1}]


async def test_mariadb_ends_a_slow_statement_itself(mariadb_server: Any, tmp_path: Path) -> None:
    known = Known("mysql", mariadb_server.url, Mysql)
    many = (
        "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c"
    )
    with anyio.fail_after(15):
        assert (await fails(sql.Query, known, tmp_path, query=many, timeout="300ms")).type == "sql.timeout"


async def test_large_results_go_to_a_file(things: Known, tmp_path: Path) -> None:
    rows = [{"id": n, "name": "x" * 150} for n in range(3000)]
    await act(sql.Insert, things, tmp_path, table="things", columns=["id", "name"], rows=rows)
    done = await act(sql.Query, things, tmp_path, query="SELECT id, name FROM things ORDER BY id", save_to="out.ndjson")
    lines = (tmp_path / "out.ndjson").read_text().splitlines()
    assert done["count"] == len(lines) == 3000 and json.loads(lines[2999]) == rows[2999]
    assert done["size"] == (tmp_path / "out.ndjson").stat().st_size and done["columns"] == ["id", "name"]
    await act(sql.Query, things, tmp_path, query="SELECT id, name FROM things WHERE id < 2", save_to="out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "id,name"
    assert (
        await fails(sql.Query, things, tmp_path, query="SELECT id FROM nowhere", save_to="no.csv")
    ).type == "sql.syntax"
    assert sorted(path.name for path in tmp_path.glob("*o*.*")) == ["out.csv", "out.ndjson"] + (["shop.db"] if things.dialect == "sqlite" else [])  # fmt: skip
    wide = "SELECT a.name AS a, b.name AS b, a.name AS c, b.name AS d, a.name AS e, b.name AS f, a.name AS g, b.name AS h, a.name AS i, b.name AS j, a.name AS k, b.name AS l FROM things a, things b LIMIT 20000"  # fmt: skip
    assert (await fails(sql.Query, things, tmp_path, query=wide, limit=10_000)).type == "limit"
    assert (await act(sql.Query, things, tmp_path, query="SELECT 1 AS one"))["rows"] == [{"one": 1}]


async def test_types_of_postgres(postgres_server: Any, tmp_path: Path) -> None:
    known = Known("postgres", postgres_server.url, Postgres)
    found = await act(sql.Query, known, tmp_path, query="""SELECT :n::numeric AS n, :j::jsonb AS j, :t::timestamptz AS t, :d::date AS d, :b::bytea AS b,
        :a::int[] AS a, :u::uuid AS u, :i::interval AS i, 'NaN'::float8 AS f, '123456789012345678901234567890.5'::numeric AS big,
        (ARRAY[1,2,3])[1:2] AS part, ':not' AS text, $q$:nor$q$ AS dollar -- :this
        """, params={"n": "12.50", "j": {"a": [1, None]}, "t": "2026-11-21T10:00:00.25+01:00", "d": "2026-11-21", "b": "AAE=", "a": [1, None, 3],
                     "u": "11111111-2222-3333-4444-555555555555", "i": "P1DT2H"})  # fmt: skip
    assert found["rows"] == [{
        "n": 12.5, "j": {"a": [1, None]}, "t": "2026-11-21T09:00:00.250000Z", "d": "2026-11-21", "b": "AAE=", "a": [1, None, 3],
        "u": "11111111-2222-3333-4444-555555555555", "i": "P1DT2H", "f": "nan", "big": "123456789012345678901234567890.5",
        "part": [1, 2], "text": ":not", "dollar": ":nor",
    }]  # fmt: skip
    for query, params in (("SELECT :x::int", {"x": "many"}), ("SELECT :x::bool", {"x": 1}), ("SELECT :x::int", {"x": 1.5}),
                          ("SELECT :x::timestamptz", {"x": "soon"}), ("SELECT :x::int[]", {"x": 1}), ("SELECT :x::int2", {"x": 70000})):  # fmt: skip
        assert (await fails(sql.Query, known, tmp_path, query=query, params=params)).type == "sql.data", query


async def test_large_json_counts_too(postgres_server: Any, tmp_path: Path) -> None:
    known = Known("postgres", postgres_server.url, Postgres)
    large = "SELECT jsonb_build_object('a', repeat('x', 1000000)) AS j FROM generate_series(1, 20)"
    assert (await fails(sql.Query, known, tmp_path, query=large)).type == "limit"


async def test_types_of_mariadb(mariadb_server: Any, tmp_path: Path) -> None:
    known = Known("mysql", mariadb_server.url, Mysql)
    found = await act(sql.Query, known, tmp_path, query="""SELECT CAST(:n AS DECIMAL(10,2)) AS n, CAST(:d AS DATETIME(3)) AS d, :j AS j,
        X'0001' AS b, CAST('26:00:00' AS TIME) AS t, '100%' AS p, ":no" AS q # :this""",
        params={"n": "12.50", "d": "2026-11-21T10:00:00.250", "j": {"a": 1}})  # fmt: skip
    assert found["rows"] == [{"n": 12.5, "d": "2026-11-21T10:00:00.250000", "j": '{"a":1}', "b": "AAE=", "t": "P1DT7200S", "p": "100%", "q": ":no"}]  # fmt: skip


@pytest.mark.parametrize(("dialect", "before", "query", "same"), [
    ("mysql", "SET time_zone = '+05:00'", "SELECT FROM_UNIXTIME(0) AS x", "1970-01-01T00:00:00"),
    ("mysql", "SET NAMES latin1", "SELECT 'grün' AS x", "grün"),
    ("postgres", "SET TimeZone = 'Asia/Tokyo'", "SELECT to_timestamp(0) AS x", "1970-01-01T00:00:00Z"),
    ("postgres", "SET DateStyle = 'German'", "SELECT '2026-11-21'::date AS x", "2026-11-21"),
    ("postgres", "SET bytea_output = 'escape'", "SELECT '\\x00ff'::bytea AS x", "AP8="),
])  # fmt: skip
async def test_what_a_statement_sets_stays_with_it(
    dialect: str, before: str, query: str, same: str, request: pytest.FixtureRequest
) -> None:
    """The connection of the pool that the next statement gets is the same one."""
    server = request.getfixturevalue("postgres_server" if dialect == "postgres" else "mariadb_server")
    kind: Any = Postgres if dialect == "postgres" else Mysql
    one = kind(kind.Options(url=server.url, pool=1))
    client = await one.open()
    try:
        async with client.session(10) as session:
            await session.run(before)
        async with client.session(10) as session:
            assert (await session.run(query)).rows == [{"x": same}]
    finally:
        await one.close(client)


async def test_nobody_answers(tmp_path: Path) -> None:
    for kind, url in (
        (Postgres, "postgresql://127.0.0.1:1/x"),
        (Mysql, "mysql://127.0.0.1:1/x"),
        (Sqlite, f"sqlite://{tmp_path}/none.db"),
    ):
        with pytest.raises(NotConnected):
            await act(sql.Query, Known("x", url, kind), tmp_path, query="SELECT 1")
    (tmp_path / "bad.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(NotConnected):
        await act(sql.Query, Known("sqlite", f"sqlite://{tmp_path}/bad.db", Sqlite), tmp_path, query="SELECT 1")


def test_settings_that_are_wrong() -> None:
    assert Mysql.problems(MysqlSettings(url="mysql://host")) and Mysql.problems(
        MysqlSettings(url="mysql://h/d", pool=0)
    )
    assert Sqlite.problems(Sqlite.Options(url="sqlite:relative")) and Postgres.problems(
        Postgres.Options(url="mysql://h/d")
    )
    assert Postgres(Postgres.Options(url="postgresql://u@h/d?sslmode=require", user="a b", password="p:/@", ca="/c")).dsn() == (
        "postgresql://a%20b:p%3A%2F%40@h/d?sslmode=require&sslrootcert=/c")  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "query", "names"),
    [
        ("postgres", "SELECT :a, ':b', \":c\", E'\\':d', x::int, :e::int -- :f\n, /* :g /* :h */ :i */ $$:j$$, $k$:l$k$, a[1:2], :m", "aem"),
        ("mysql", "SELECT :a, ':b\\':c', \":d\", `:e` # :f\n, @x := 1, :g /* :h */", "ag"),
        ("sqlite", "SELECT :a, [:b], ':c''d', \"e\"\":f\", :g", "ag"),
        ("postgres", "SELECT 'open :a", ""),
        ("postgres", "SELECT $1:a", ""),
    ],
)  # fmt: skip
def test_parameters_stand_outside_of_strings_and_comments(dialect: Any, query: str, names: str) -> None:
    found = parse_statement(query, dialect)
    assert list(found.names) == list(names)


@given(strategies.text("':\"`$[]-/*#\\ ae1\n", max_size=40), strategies.sampled_from(["postgres", "mysql", "sqlite"]))
def test_parsing_loses_no_text(query: str, dialect: Any) -> None:
    found = parse_statement(query, dialect)
    whole = found.parts[0] + "".join(f":{name}{part}" for name, part in zip(found.names, found.parts[1:], strict=True))
    assert whole == query
