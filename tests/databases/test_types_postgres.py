"""Each type of PostgreSQL: alike in the snapshot and in the stream, and a plain value in a query."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.actions import sql as actions
from plugins.connections.postgres import Postgres as Kind
from tests import services
from tests.databases.conftest import Known
from tests.databases.test_postgres import connected, listening
from tests.databases.test_sql import act

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]
Server = services.Postgres
SETUP = """
DROP SCHEMA IF EXISTS kinds CASCADE; CREATE SCHEMA kinds;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;
CREATE TYPE kinds.mood AS ENUM ('sad', 'o k', 'grün'); CREATE DOMAIN kinds.price AS numeric(10, 2);
CREATE DOMAIN kinds.flags AS bool[]; CREATE DOMAIN kinds.yes AS bool;
CREATE TYPE kinds.pair AS (a int, b text, c timestamptz, d bool); CREATE TYPE kinds.span AS RANGE (subtype = float8);
"""
TYPES: list[tuple[str, str, Any]] = [
    ("bool", "true", True), ("bool", "false", False), ("kinds.yes", "true", True), ("bool[]", "'{t,f,NULL}'", [True, False, None]),
    ("kinds.flags", "'{t,f}'", [True, False]), ("smallint", "-32768", -32768), ("int", "2147483647", 2147483647),
    ("bigint", "9007199254740993", 9007199254740993), ("int[]", "'[2:4]={1,NULL,3}'", [1, None, 3]), ("int[]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
    ("oid", "4294967295", 4294967295), ("xid", "'7'", 7), ("xid8", "'7'", ...), ("tid", "'(1,2)'", "(1,2)"), ("int2vector", "'1 2'", [1, 2]),
    ("oidvector", "'1 2'", [1, 2]), ("regclass", "'pg_class'", "pg_class"), ("regtype", "'integer'", "integer"), ("pg_lsn", "'16/B374D848'", "16/B374D848"),
    ("numeric", "12.50", 12.5), ("numeric", "123456789012345678901234567890.5", "123456789012345678901234567890.5"), ("numeric", "'NaN'", "NaN"),
    ("numeric", "'Infinity'", "Infinity"), ("numeric", "'-Infinity'", "-Infinity"), ("numeric[]", "'{1.5,NaN}'", [1.5, "NaN"]), ("kinds.price", "9.90", 9.9),
    ("kinds.price[]", "'{9.90,1}'", [9.9, 1]), ("real", "0.1", 0.1), ("real", "'NaN'", "NaN"), ("real[]", "'{0.1,Infinity}'", [0.1, "Infinity"]),
    ("float8", "0.1", 0.1), ("float8", "'-Infinity'", "-Infinity"), ("float8", "1e300", 1e300), ("money", "'-1234.50'", "-$1,234.50"), ("money[]", "'{1,2}'", ["$1.00", "$2.00"]),
    ("text", "'grün 🔑'", "grün 🔑"), ("text", "''", ""), ("text[]", "ARRAY['NULL', NULL, 'a,b;c', '\"q\\', '']", ["NULL", None, "a,b;c", '"q\\', ""]),
    ("varchar(9)", "'a '", "a "), ("char(4)", "'ab'", "ab  "), ("char(4)[]", "'{ab}'", ["ab  "]), ('"char"', "'x'", "x"), ("name", "'n'", "n"), ("citext", "'AbC'", "AbC"),
    ("bytea", "'\\x00ff'", "AP8="), ("bytea[]", "ARRAY['\\x00ff'::bytea]", ["AP8="]), ("date", "'2026-11-21'", "2026-11-21"), ("date", "'infinity'", "infinity"),
    ("date", "'0044-03-15 BC'", "0044-03-15 BC"), ("date", "'20000-01-01'", "20000-01-01"), ("date[]", "'{2026-11-21,infinity}'", ["2026-11-21", "infinity"]),
    ("time", "'24:00:00'", "24:00:00"), ("time(3)", "'10:00:00.25'", ...), ("timetz", "'10:00:00+02'", ...),
    ("timestamp", "'2026-11-21 10:00:00'", "2026-11-21T10:00:00"), ("timestamp", "'infinity'", "infinity"), ("timestamp", "'0044-03-15 12:00 BC'", "0044-03-15 12:00:00 BC"),
    ("timestamp", "'20000-01-01 00:00'", "20000-01-01T00:00:00"), ("timestamptz", "'2026-11-21 10:00:00+02'", "2026-11-21T08:00:00Z"),
    ("timestamptz", "'-infinity'", "-infinity"), ("timestamptz", "'0044-03-15 12:00+00 BC'", "0044-03-15 12:00:00+00 BC"),
    ("timestamptz", "'20000-01-01 00:00+00'", "20000-01-01T00:00:00Z"), ("timestamptz[]", "'{2026-11-21 10:00:00+02,infinity}'", ["2026-11-21T08:00:00Z", "infinity"]),
    ("interval", "'1 year 2 mons 3 days 4:05:06.5'", "P1Y2M3DT4H5M6.5S"), ("interval[]", "'{1 day}'", ["P1D"]),
    ("uuid", "'11111111-2222-3333-4444-555555555555'", "11111111-2222-3333-4444-555555555555"), ("uuid[]", "'{11111111-2222-3333-4444-555555555555}'", ["11111111-2222-3333-4444-555555555555"]),
    ("json", "'{\"a\": [1, 2.5, null]}'", {"a": [1, 2.5, None]}), ("json", "'\"\\ud83d\"'", '"\\ud83d"'), ("jsonb", "'{\"a\": {\"b\": true}}'", {"a": {"b": True}}),
    ("jsonb", "'null'", None), ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb, '2']", [{"a": 1}, 2]), ("jsonpath", "'$.a'", '$."a"'), ("xml", "'<a>1</a>'", "<a>1</a>"),
    ("bit(4)", "B'0101'", "0101"), ("varbit", "B'01'", "01"), ("bit(2)[]", "ARRAY[B'01', B'10']", ["01", "10"]),
    ("inet", "'192.168.0.1'", "192.168.0.1"), ("inet", "'10.0.0.0/8'", "10.0.0.0/8"), ("inet", "'::1'", "::1"), ("inet[]", "'{10.0.0.1}'", ["10.0.0.1"]),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"), ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"), ("macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"),
    ("point", "'(1,2)'", "(1,2)"), ("line", "'{1,2,3}'", "{1,2,3}"), ("lseg", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"), ("box", "'(1,1),(0,0)'", "(1,1),(0,0)"),
    ("box[]", "'{(1,1),(0,0);(2,2),(1,1)}'", ["(1,1),(0,0)", "(2,2),(1,1)"]), ("point[]", "'{\"(1,2)\"}'", ["(1,2)"]), ("path", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"),
    ("polygon", "'((0,0),(1,1),(1,0))'", "((0,0),(1,1),(1,0))"), ("circle", "'<(1,2),3>'", "<(1,2),3>"),
    ("int4range", "'[1,5)'", "[1,5)"), ("numrange", "'(,2.5]'", "(,2.5]"), ("tstzrange", "'[2026-11-21 10:00+00,)'", '["2026-11-21 10:00:00+00",)'),
    ("daterange", "'empty'", "empty"), ("int4range[]", "ARRAY['[1,5)'::int4range]", ["[1,5)"]), ("int8multirange", "'{[1,2],[5,7)}'", "{[1,3),[5,7)}"),
    ("kinds.span", "'[0.5,1]'", "[0.5,1]"), ("kinds.mood", "'grün'", "grün"), ("kinds.mood[]", "ARRAY['o k', 'sad']::kinds.mood[]", ["o k", "sad"]),
    ("kinds.pair", "ROW(1, 'a \"b', '2026-11-21 10:00+00', true)", '(1,"a ""b","2026-11-21 10:00:00+00",t)'), ("kinds.pair[]", "ARRAY[ROW(1, 'a', NULL, false)]::kinds.pair[]", ["(1,a,,f)"]),
    ("tsvector", "'a:1 b:2'", "'a':1 'b':2"), ("tsquery", "'a & b'", "'a' & 'b'"), ("txid_snapshot", "'10:20:10,14'", "10:20:10,14"),
    ("hstore", "'a=>1, b=>NULL'", '"a"=>"1", "b"=>NULL'), ("ltree", "'a.b'", "a.b"), ("refcursor", "'c'", "c"),
]  # fmt: skip


@pytest.fixture
async def typed(postgres_server: Server) -> AsyncIterator[dict[str, Any]]:
    """The table, and what its row is as plain data."""
    columns = ", ".join(f"c{place} {type}" for place, (type, _, _) in enumerate(TYPES))
    async with connected(postgres_server) as connection:
        await connection.execute(SETUP)
        await connection.execute(f"CREATE TABLE orders (id int PRIMARY KEY, {columns})")
    yield {f"c{place}": value for place, (_, _, value) in enumerate(TYPES) if value is not ...}
    async with connected(postgres_server) as connection:
        await connection.execute("DROP TABLE orders; DROP SCHEMA kinds CASCADE")


async def insert(server: Server, id: int) -> None:
    async with connected(server) as connection:
        await connection.execute(f"INSERT INTO orders VALUES ({id}, {', '.join(value for _, value, _ in TYPES)})")


async def test_snapshot_and_stream_are_alike(postgres_server: Server, typed: dict[str, Any]) -> None:
    await insert(postgres_server, 1)
    async with listening(postgres_server, snapshot="initial") as made:
        await made.wait_events(1)
        await insert(postgres_server, 2)
        first, second = await made.wait_events(2)
    assert (first.fields["snapshot"], second.fields["snapshot"]) == (True, False)
    assert first.invalid is None and second.invalid is None
    named = {f"c{place}": type for place, (type, _, _) in enumerate(TYPES)}
    assert {(named[n], v, second.data[n]) for n, v in first.data.items() if n != "id" and v != second.data[n]} == set()
    assert {name: first.data[name] for name in typed} == typed
    assert json.loads(msgspec.json.encode(first.data)) == first.data and len(TYPES) > 90


async def test_a_query_gives_plain_values(postgres_server: Server, typed: dict[str, Any], tmp_path: Path) -> None:
    await insert(postgres_server, 1)
    known = Known("postgres", postgres_server.url, Kind)
    found = await act(actions.Query, known, tmp_path, query="SELECT * FROM orders")
    (row,) = found["rows"]
    small = {"real": "nan", "real[]": [0.1, "inf"], "float8": "-inf"}  # as they have always been in a query
    expected = {n: typed[n] for n in typed}
    for place, (type, value, _) in enumerate(TYPES):
        if type in small and ("NaN" in value or "Infinity" in value):
            expected[f"c{place}"] = small[type]
    assert {name: row[name] for name in typed} == expected
    assert json.loads(msgspec.json.encode(row)) == row
    query = "SELECT ROW(1, 'a', NULL) AS r, ARRAY[ROW(1, 2)] AS rs, o AS whole, pg_sleep(0) AS nothing, 'x' AS u FROM (SELECT 1 AS n, true AS b) o"  # fmt: skip
    (row,) = (await act(actions.Query, known, tmp_path, query=query))["rows"]
    assert row == {"r": "(1,a,)", "rs": ["(1,2)"], "whole": "(1,t)", "nothing": None, "u": "x"}


async def test_values_go_back_as_they_came(postgres_server: Server, typed: dict[str, Any], tmp_path: Path) -> None:
    """Each value of a row, as a query gave it, is a parameter of its own type."""
    await insert(postgres_server, 1)
    known = Known("postgres", postgres_server.url, Kind)
    (row,) = (await act(actions.Query, known, tmp_path, query="SELECT * FROM orders"))["rows"]
    for place, (type, _, _) in enumerate(TYPES):
        value = row[f"c{place}"]
        if type in ("json", "int2vector", "oidvector") or (type == "jsonb" and value is None):
            continue
        same = f"(:value::{type})::text = c{place}::text"
        if type == "int[]":  # a list has no lower bound
            same = f"array_to_string(:value::{type}, ',', '') = array_to_string(c{place}, ',', '')"
        if "numeric" in type or "price" in type:  # 12.50 and 12.5 are one number
            same = f":value::{type} = c{place}"
        query = f"SELECT {same} AS same FROM orders"
        found = await act(actions.Query, known, tmp_path, query=query, params={"value": value})
        assert found["rows"] == [{"same": True}], (type, value)
