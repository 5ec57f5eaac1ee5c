"""Each type of MariaDB, in each way that a table may have it: alike in the snapshot and in the stream."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import anyio
import msgspec
import pymysql
import pytest

from plugins.connections.mysql import Mysql as Kind
from reactor.contracts.errors import NotReady
from reactor.testing.trigger_suite import Recorder
from tests.brokers.harness import Lent
from tests.databases.test_mysql import Server, clean, listening, options, sql
from tests.waiting import soon
from triggers.kit.changes import TableName
from triggers.mysql.charsets import _codec
from triggers.mysql.json import read_json
from triggers.mysql.kind import Mysql
from triggers.mysql.position import MysqlPosition
from triggers.mysql.replication import Stream
from triggers.mysql.rows import read_rows, reading
from triggers.mysql.table import VARCHAR, Column
from triggers.mysql.wire import RowsEvent

pytestmark = pytest.mark.anyio
__all__ = ["clean"]
B64 = {text: base64.b64encode(text).decode() for text in (b"\0\xff", b"a\0\0\0", b"raw", b"\0" * 4, b"x" * 300)}
LONG = "x" * 300
TYPES: list[tuple[str, str, Any]] = [
    ("tinyint", "-128", -128), ("tinyint unsigned", "255", 255), ("smallint unsigned", "65535", 65535), ("mediumint", "-8388608", -8388608),
    ("mediumint unsigned", "16777215", 16777215), ("int", "-2147483648", -2147483648), ("int unsigned", "4294967295", 4294967295),
    ("bigint", "-9223372036854775808", -9223372036854775808), ("bigint unsigned", "18446744073709551615", 18446744073709551615), ("bool", "true", 1),
    ("year", "2026", 2026), ("year", "0", 0), ("int unsigned zerofill", "7", 7), ("bit(1)", "1", 1), ("bit(12)", "b'101'", 5), ("bit(64)", "~0", 2**64 - 1),
    ("float", "0.1", 0.1), ("float", "16777216", 16777200), ("float unsigned", "1e-20", 1e-20), ("double", "0.1", 0.1), ("double", "-1e300", -1e300),
    ("decimal(6,2)", "-9.90", -9.9), ("decimal(30,10)", "-12345678901234567890.0000000001", "-12345678901234567890.0000000001"), ("decimal(65,30)", "0", 0),
    ("decimal(10)", "-1234567890", -1234567890), ("decimal(3,3)", "0.125", 0.125), ("decimal(20,0)", "99999999999999999999", "99999999999999999999"),
    ("date", "'2026-11-21'", "2026-11-21"), ("date", "'0000-00-00'", "0000-00-00"), ("date", "'2024-02-31'", "2024-02-31"), ("date", "'2024-00-00'", "2024-00-00"),
    ("date", "'9999-12-31'", "9999-12-31"), ("datetime", "'2026-11-21 10:00:00'", "2026-11-21T10:00:00"), ("datetime(3)", "'2026-11-21 10:00:00.25'", "2026-11-21T10:00:00.250000"),
    ("datetime(6)", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00.000000"), ("datetime(1)", "'2024-02-31 10:00:00.5'", "2024-02-31 10:00:00.5"),
    ("datetime", "'1000-01-01 00:00:00'", "1000-01-01T00:00:00"), ("timestamp NULL", "'2026-11-21 10:00:00'", "2026-11-21T10:00:00Z"),
    ("timestamp(5) NULL", "'2026-11-21 10:00:00.12345'", "2026-11-21T10:00:00.123450Z"), ("timestamp NULL", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    ("timestamp NULL", "'2038-01-19 03:14:07'", "2038-01-19T03:14:07Z"), ("time", "'838:59:59'", "P34DT82799S"), ("time", "'-838:59:59'", "-P34DT82799S"), ("time(1)", "'-26:30:01.5'", "-P1DT9001.5S"),
    ("time(2)", "'-00:00:00.25'", "-PT0.25S"), ("time(6)", "'00:00:00.000001'", "PT0.000001S"), ("time(3)", "'-01:00:00'", "-PT3600S"), ("time", "'0'", "PT0S"),
    ("char(4)", "'ab'", "ab"), ("char(4)", "''", ""), ("char(200)", "'grün'", "grün"), ("char(200) CHARACTER SET utf32", "'grün 🔑'", "grün 🔑"), ("varchar(20)", "'grün 🔑 '", "grün 🔑 "),
    ("varchar(300)", f"'{LONG}'", LONG), ("tinytext", "'a'", "a"), ("text", "'a'", "a"), ("mediumtext", "'a'", "a"), ("longtext", "'a'", "a"),
    ("varchar(20) CHARACTER SET latin1", "'grün €'", "grün €"), ("varchar(20) CHARACTER SET latin1", "X'81'", "\x81"), ("text CHARACTER SET latin2", "'łódź'", "łódź"), ("varchar(9) CHARACTER SET cp1251", "'ключ'", "ключ"),
    ("varchar(9) CHARACTER SET koi8r", "'ключ'", "ключ"), ("char(9) CHARACTER SET ucs2", "'grün'", "grün"), ("varchar(9) CHARACTER SET utf16", "'🔑'", "🔑"),
    ("varchar(9) CHARACTER SET utf16le", "'🔑'", "🔑"), ("text CHARACTER SET utf32", "'🔑'", "🔑"), ("varchar(9) CHARACTER SET sjis", "'日本'", "日本"), ("varchar(9) CHARACTER SET ujis", "'日本'", "日本"),
    ("varchar(9) CHARACTER SET gbk", "'日本'", "日本"), ("varchar(9) CHARACTER SET big5", "'日本'", "日本"), ("varchar(9) CHARACTER SET euckr", "'한국'", "한국"), ("varchar(9) CHARACTER SET armscii8", "'Ա'", "Ա"),
    ("varchar(9) CHARACTER SET ascii", "'a'", "a"), ("varchar(9) CHARACTER SET tis620", "'ไทย'", "ไทย"), ("varchar(9) CHARACTER SET hebrew", "'שלום'", "שלום"), ("varchar(9) COLLATE uca1400_ai_ci", "'ö'", "ö"), ("varchar(9) CHARACTER SET utf8mb3", "'ö'", "ö"),
    ("varchar(9) CHARACTER SET swe7", "'å'", "å"), ("varchar(9) CHARACTER SET utf16 COLLATE utf16_bin", "'ö'", "ö"),
    ("enum('a','grün','c')", "'grün'", "grün"), ("enum('a','grün') CHARACTER SET latin1", "'grün'", "grün"), ("enum('a','ö') CHARACTER SET utf16", "'ö'", "ö"), ("enum('a','b')", "''", ""),
    ("set('x','y','ö')", "'ö,x'", ["x", "ö"]), ("set('x','ö') CHARACTER SET latin1", "'ö'", ["ö"]), ("set('x')", "''", []),
    ("binary(4)", "'a'", B64[b"a\0\0\0"]), ("binary(4)", "X'00000000'", B64[b"\0" * 4]), ("binary(2)", "X'00ff'", B64[b"\0\xff"]), ("varbinary(8)", "'raw'", B64[b"raw"]), ("varbinary(300)", f"'{LONG}'", B64[b"x" * 300]),
    ("blob", "X'00ff'", B64[b"\0\xff"]), ("tinyblob", "X'00ff'", B64[b"\0\xff"]), ("mediumblob", "''", ""), ("longblob", "'raw'", B64[b"raw"]),
    ("uuid", "'123e4567-e89b-12d3-a456-426655440000'", "123e4567-e89b-12d3-a456-426655440000"), ("uuid", "'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
    ("uuid", "'123e4567-e89b-72d3-a456-426655440001'", "123e4567-e89b-72d3-a456-426655440001"), ("uuid", "'6ccd780c-baba-1026-9564-5b8c65602400'", "6ccd780c-baba-1026-9564-5b8c65602400"), ("binary(16)", "X'00112233445566778899aabbccddee00'", "ABEiM0RVZneImaq7zN3uAA=="),
    ("inet4", "'192.168.0.1'", "192.168.0.1"), ("inet4", "'10.0.0.0'", "10.0.0.0"), ("inet6", "'2001:db8::1'", "2001:db8::1"), ("inet6", "'::'", "::"), ("inet6", "'::ffff:1.2.3.4'", "::ffff:1.2.3.4"), ("inet6", "'2001:db8::'", "2001:db8::"),
    ("json", "'{\"a\": [1, 2.5, null]}'", '{"a": [1, 2.5, null]}'), ("point", "ST_GeomFromText('POINT(1 2)')", ...), ("geometry", "ST_GeomFromText('LINESTRING(0 0,1 1)', 4326)", ...), ("polygon", "ST_GeomFromText('POLYGON((0 0,1 1,1 0,0 0))')", ...),
    ("varchar(2000) COMPRESSED", f"'{LONG}'", LONG), ("text COMPRESSED", "'grün'", "grün"), ("blob COMPRESSED", f"'{LONG}'", B64[b"x" * 300]), ("varbinary(400) COMPRESSED", "''", ""),
    ("text COMPRESSED CHARACTER SET latin1", f"'ö{LONG}'", f"ö{LONG}"), ("int INVISIBLE DEFAULT 7", "8", 8),
]  # fmt: skip


def quiet(server: Server, *queries: str) -> None:
    """Without a word of what the server warns of: an ENUM that has no such label, a date that is not one."""
    with pymysql.connect(
        host=server.host, port=server.port, user="root", database="shop", autocommit=True
    ) as connection:
        for query in queries:
            connection.cursor().execute(query)


def insert(server: Server, id: int) -> None:
    names = ", ".join(f"c{place}" for place in range(len(TYPES)))
    values = ", ".join(value for _, value, _ in TYPES)
    nulls = ", ".join("NULL" if type != "int INVISIBLE DEFAULT 7" else "1" for type, _, _ in TYPES)
    quiet(server, "SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'", "SET NAMES utf8mb4",
              f"INSERT INTO orders (id, {names}) VALUES ({id}, {values}), ({id + 1}, {nulls})")  # fmt: skip


async def test_snapshot_and_stream_are_alike(mariadb_server: Server) -> None:
    columns = ", ".join(f"c{place} {type}" for place, (type, _, _) in enumerate(TYPES))
    await sql(
        mariadb_server,
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        f"CREATE TABLE orders (id int PRIMARY KEY, {columns}) CHARACTER SET utf8mb4",
    )
    insert(mariadb_server, 1)
    async with listening(mariadb_server, snapshot="initial") as made:
        await made.wait_events(2)
        insert(mariadb_server, 3)
        events = await made.wait_events(4)
    assert [event.invalid for event in events] == [None] * 4
    assert [event.fields["snapshot"] for event in events] == [True, True, False, False]
    first, empty, second, _ = (event.data for event in events)
    named = {f"c{place}": (type, value) for place, (type, value, _) in enumerate(TYPES)}
    assert [(named[n], v, second[n]) for n, v in first.items() if n != "id" and v != second[n]] == []
    wanted = {f"c{place}": value for place, (_, _, value) in enumerate(TYPES) if value is not ...}
    assert [(named[name], second[name], value) for name, value in wanted.items() if second[name] != value] == []
    assert {**empty, "id": 3 + 1} == events[3].data
    assert json.loads(msgspec.json.encode(second)) == second


async def test_a_row_that_cannot_be_read_is_a_dead_letter_of_its_own() -> None:
    column = Column(VARCHAR, b"\x10\x00", name="t", collation=45)
    columns = [reading(column, "varchar", _codec("utf-8"))]
    event = RowsEvent("insert", 1, 1, b"\x01\x01" + b"\x00\x04caf\xe9" + b"\x00\x02ok", False)
    bad, good = read_rows(event, TableName("shop", "orders"), columns).changes
    assert bad.new == {"t": "caf\\xe9", "t_bytes": base64.b64encode(b"caf\xe9").decode()}
    assert bad.fault == "the column t: byte 0xe9 at position 3 is not UTF-8"
    assert good.new == {"t": "ok"} and good.fault is None


async def test_times_in_the_old_form_of_mariadb(mariadb_server: Server) -> None:
    """Read where their size is known, else refused by name."""
    old = "SET GLOBAL mysql56_temporal_format = OFF"
    try:
        await sql(mariadb_server, old)
        await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY, t time, d datetime, s timestamp NULL)", "CREATE TABLE parts (id int PRIMARY KEY, t time(2))")  # fmt: skip
        values = "'-26:30:01', '2026-11-21 10:00:00', '2026-11-21 10:00:00'"
        await sql(mariadb_server, "SET time_zone = '+00:00'", f"INSERT INTO orders VALUES (1, {values})")
        async with listening(mariadb_server, snapshot="initial") as made:
            await made.wait_events(1)
            await sql(mariadb_server, "SET time_zone = '+00:00'", f"INSERT INTO orders VALUES (2, {values})")
            first, second = await made.wait_events(2)
        assert first.data == {"id": 1, "t": "-P1DT9001S", "d": "2026-11-21T10:00:00", "s": "2026-11-21T10:00:00Z"}
        assert second.data == {**first.data, "id": 2}
        recorder = Recorder()
        recorder.connections = Lent(Kind, {"url": mariadb_server.url})
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:

                async def insert() -> None:
                    await recorder.is_ready.wait()
                    await sql(mariadb_server, "INSERT INTO parts VALUES (1, '10:00:00.5')")

                group.start_soon(insert)
                with pytest.raises(NotReady, match="t keeps times in MariaDB's old form"):
                    await Mysql(options(tables=["parts"])).listen(recorder)
    finally:
        await sql(mariadb_server, "SET GLOBAL mysql56_temporal_format = ON")


async def test_names_are_written_as_in_sql(mariadb_server: Server) -> None:
    names = ["`öl.sorten`", "shop.`a ``b``*`", "`shop`.Größe"]
    for name in names:
        await sql(mariadb_server, f"CREATE TABLE {name} (`id.x` int PRIMARY KEY, `grün :a` text)", f"INSERT INTO {name} VALUES (1, 'a')")  # fmt: skip
    async with listening(mariadb_server, tables=names, snapshot="initial") as made:
        await made.wait_events(3)
        for name in names:
            await sql(mariadb_server, f"INSERT INTO {name} VALUES (2, 'b')", f"/* tool */ TRUNCATE TABLE {name}")
        events = await made.wait_events(9)
    shown = ["shop.`öl.sorten`", "shop.`a ``b``*`", "shop.Größe"]
    assert [(event.fields["table"], event.data) for event in events[:3]] == [(name, {"id.x": 1, "grün :a": "a"}) for name in shown]  # fmt: skip
    assert [(event.fields["table"], event.type) for event in events[3:]] == [
        (name, type) for name in shown for type in ("row.inserted", "row.truncated")
    ]


@pytest.mark.parametrize("wrong", ["a b", "`open", "a.`b`c", "", "``", "a.b.c", "x" * 65])
def test_names_that_are_wrong(wrong: str) -> None:
    assert Mysql.problems(options(tables=[wrong]))


async def test_nothing_of_an_unwatched_table_is_decoded(mariadb_server: Server) -> None:
    """Whatever is in it: also what nobody could read."""
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int, c varchar(2000) COMPRESSED, d date)")  # fmt: skip
    described: list[TableName] = []
    plain = Stream._describe

    async def describe(self: Stream, table: TableName, body: bytes) -> Any:
        described.append(table)
        return await plain(self, table, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "_describe", describe)
        async with listening(mariadb_server) as made:
            quiet(mariadb_server, "SET sql_mode = 'ALLOW_INVALID_DATES'", f"INSERT INTO other VALUES (1, '{LONG}', '2024-02-31')", "INSERT INTO orders VALUES (1)")  # fmt: skip
            assert [event.data for event in await made.wait_events(1)] == [{"id": 1}]
    assert described == [TableName("shop", "orders")]


async def test_a_compressed_log_is_refused_and_loses_nothing(
    mariadb_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, and when it is switched on in the middle; what was written so meanwhile comes afterwards."""
    monkeypatch.setattr("triggers.mysql.replication.LOOK", 0.05)
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY, t text)")
    position: dict[str, Any] = {}
    recorder = Recorder(position)
    recorder.connections = Lent(Kind, {"url": mariadb_server.url})
    try:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:

                async def switch() -> None:
                    await recorder.is_ready.wait()
                    await sql(mariadb_server, "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10")

                group.start_soon(switch)
                with pytest.raises(NotReady, match="log_bin_compress is ON: SET GLOBAL log_bin_compress = OFF"):
                    await Mysql(options()).listen(recorder)
        with anyio.fail_after(20), pytest.raises(NotReady, match="log_bin_compress is ON"):
            await Mysql(options()).listen(recorder)
        await sql(mariadb_server, f"INSERT INTO orders VALUES (1, '{LONG}'), (2, 'b')", f"UPDATE orders SET t = '{LONG}'", "DELETE FROM orders WHERE id = 2")  # fmt: skip
    finally:
        await sql(mariadb_server, "SET GLOBAL log_bin_compress = OFF, GLOBAL log_bin_compress_min_len = 256")
    async with listening(mariadb_server, position) as made:
        events = await made.wait_events(4)
        assert [(event.type, (event.data or event.fields["old"])["id"]) for event in events] == [
            ("row.inserted", 1), ("row.inserted", 2), ("row.updated", 2), ("row.deleted", 2)
        ]  # fmt: skip
        assert events[0].data["t"] == LONG


async def test_an_xa_transaction_is_events_only_when_it_is_committed(mariadb_server: Server) -> None:
    """Through a restart between its two halves, and beside others."""
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")

    async def xa(name: str, id: int, *more: str) -> None:
        await sql(mariadb_server, f"XA START '{name}'", f"INSERT INTO orders VALUES ({id})", f"XA END '{name}'", *more)

    position: dict[str, Any] = {}
    async with listening(mariadb_server, position) as made:
        await xa("a", 1, "XA PREPARE 'a'")
        await xa("b", 2, "XA PREPARE 'b'")
        await xa("c", 3, "XA COMMIT 'c' ONE PHASE")
        await sql(mariadb_server, "INSERT INTO orders VALUES (4)")
        events = await made.wait_events(2)
        await sql(mariadb_server, "XA ROLLBACK 'b'", "INSERT INTO orders VALUES (5)")
        assert [event.data["id"] for event in await made.wait_events(3)] == [3, 4, 5]
    keys = {event.key for event in events}
    async with listening(mariadb_server, position) as made:
        await sql(mariadb_server, "XA COMMIT 'a'", "INSERT INTO orders VALUES (6)")
        await soon(lambda: made.events and made.events[-1].data["id"] == 6, "the last row did not come", 10)
        assert [event.data["id"] for event in made.events if event.key not in keys] == [1, 6]
        (row,) = await sql(mariadb_server, "SELECT @@gtid_binlog_pos")
        await soon(lambda: position["gtid"] == row[0], "the position does not follow", 10)


async def test_a_table_that_becomes_a_view_is_said_and_taken_up_again(
    mariadb_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.mysql.replication.LOOK", 0.05)
    await sql(mariadb_server, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)")
    async with listening(mariadb_server, tables=["orders", "other"]) as made:
        await sql(mariadb_server, "RENAME TABLE orders TO old", "CREATE VIEW orders AS SELECT * FROM old")
        await soon(lambda: "shop.orders is a view" in (made.warning or ""), "nobody minds the view")
        await sql(mariadb_server, "INSERT INTO old VALUES (1)", "INSERT INTO other VALUES (2)")
        assert [event.data["id"] for event in await made.wait_events(1)] == [2]
        await sql(mariadb_server, "DROP VIEW orders", "CREATE TABLE orders (id text, n int)", "INSERT INTO orders VALUES ('x', 3)")  # fmt: skip
        assert (await made.wait_events(2))[-1].data == {"id": "x", "n": 3}
        await soon(lambda: made.warning is None, "the warning stays")


def test_json_of_mysql() -> None:
    """{"a": [1, "b", null, true], "ö": -70000, "d": 12.50, "t": a moment} in MySQL's binary form."""
    small = struct.pack("<HH", 4, 20) + b"\x05\x01\x00" + b"\x0c\x10\x00" + b"\x04\x00\x00" + b"\x04\x01\x00" + b"\x01b"
    small = small[:2] + struct.pack("<H", len(small)) + small[4:]
    number = struct.pack("<i", -70000)
    exact = b"\x0f\xf6\x04\x04\x02\x8c\x32"
    packed = ((((2026 * 13 + 11) << 5 | 21) << 17) | (10 << 12 | 30 << 6 | 5)) << 24 | 250000
    moment = b"\x0f\x0c\x08" + struct.pack("<q", packed)
    keys = [b"a", b"d", b"t", "ö".encode()]
    values = [(2, small), (15, exact[1:]), (15, moment[1:]), (7, number)]
    place = 4 + 4 * 4 + 3 * 4
    body = struct.pack("<H", 4)
    entries, data = b"", b""
    for key in keys:
        entries += struct.pack("<HH", place + len(data), len(key))
        data += key
    for type, value in values:
        entries += bytes([type]) + struct.pack("<H", place + len(data))
        data += value
    body += struct.pack("<H", place + len(data)) + entries + data
    assert read_json(b"\x00" + body) == {
        "a": [1, "b", None, True], "d": 12.5, "t": "2026-11-21 10:30:05.250000", "ö": -70000,
    }  # fmt: skip
    assert read_json(b"\x0c\x03abc") == "abc" and read_json(b"") is None
    for broken in (b"\x00\x01", b"\x0d", b"\x04\x09", b"\x0c\x05a"):
        with pytest.raises(ValueError, match=r"JSON|early"):
            read_json(broken)


def test_a_position_of_mysql_as_the_server_takes_it() -> None:
    name = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
    encoded = MysqlPosition(f"{name}:1-5:7").encoded()
    assert encoded == struct.pack("<Q", 1) + bytes.fromhex(name.replace("-", "")) + struct.pack("<QQQQQ", 2, 1, 6, 7, 8)
