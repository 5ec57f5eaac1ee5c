"""The decoder and the text forms, without a server."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies

from triggers.kit.changes import Durable
from triggers.postgres import pgoutput as wire
from triggers.postgres.types import Types, parse_array


def text(value: str) -> bytes:
    raw = value.encode()
    return b"t" + struct.pack(">I", len(raw)) + raw


def test_messages() -> None:
    begin = wire.decode(b"B" + struct.pack(">QqI", 0x1_0000_00FF, 1_000_000, 77))
    assert begin == wire.Begin(0x1_0000_00FF, 946_684_801.0, 77) and wire.lsn_text(0x1_0000_00FF) == "1/FF"
    assert wire.decode(b"C" + struct.pack(">BQQq", 0, 1, 2, 3)) == wire.Commit(2)
    relation = wire.decode(b"R" + struct.pack(">I", 9) + b"public\0t\0d" + struct.pack(">H", 2) + b"\1id\0" + struct.pack(">Ii", 23, -1) + b"\0n\0" + struct.pack(">Ii", 25, -1))  # fmt: skip
    assert relation == wire.Relation(9, "public", "t", "d", (wire.Column("id", 23, True), wire.Column("n", 25, False)))
    row = struct.pack(">H", 3) + text("1") + b"n" + b"u"
    assert wire.decode(b"I" + struct.pack(">I", 9) + b"N" + row) == wire.Change(
        "insert", 9, None, False, ["1", None, wire.UNCHANGED]
    )
    assert wire.decode(b"U" + struct.pack(">I", 9) + b"O" + row + b"N" + row) == wire.Change("update", 9, ["1", None, wire.UNCHANGED], True, ["1", None, wire.UNCHANGED])  # fmt: skip
    assert wire.decode(b"D" + struct.pack(">I", 9) + b"K" + row) == wire.Change(
        "delete", 9, ["1", None, wire.UNCHANGED], False, None
    )
    assert wire.decode(b"T" + struct.pack(">IBII", 2, 0, 9, 10)) == wire.Truncate((9, 10))
    assert wire.decode(b"M" + struct.pack(">BQ", 1, 5) + b"p\0" + struct.pack(">I", 2) + b"hi") == wire.Message(
        "p", b"hi"
    )
    assert wire.decode(b"Oxyz") is None
    with pytest.raises(ValueError, match="unknown"):
        wire.decode(b"Z")
    with pytest.raises(ValueError, match="form"):
        wire.decode(b"I" + struct.pack(">I", 9) + b"N" + struct.pack(">H", 1) + b"x")


def test_arrays() -> None:
    assert parse_array('{1,NULL,{"a \\"b\\" \\\\",""},"NULL"}', None) == ["1", None, ['a "b" \\', ""], "NULL"]
    assert parse_array("[2:3]={1,2}", int) == [1, 2] and parse_array("{}", int) == []


@given(strategies.lists(strategies.none() | strategies.text(max_size=6), max_size=6))
def test_arrays_come_back(items: list[str | None]) -> None:
    def quoted(item: str | None) -> str:
        return "NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert parse_array("{" + ",".join(map(quoted, items)) + "}", None) == items


def test_types_that_are_made_of_others() -> None:
    types = Types()
    asked = types.missing({23, 1007, 50_000, 50_001, 50_002})
    assert asked == [1007, 50_000, 50_001, 50_002]
    rows = [
        {"oid": 1007, "kind": "b", "element": 23, "category": "A", "base": 0},
        {"oid": 50_000, "kind": "d", "element": 0, "category": "N", "base": 1700},
        {"oid": 50_001, "kind": "e", "element": 0, "category": "E", "base": 0},
        {"oid": 50_002, "kind": "d", "element": 0, "category": "A", "base": 1007},
    ]
    while asked:
        asked = types.learn([row for row in rows if row["oid"] in asked], asked)
    number = types.convert(50_000)
    array, domain = types.convert(1007), types.convert(50_002)
    assert number is not None and number("12.50") == 12.5
    assert array is not None and array("{1,2}") == [1, 2] and domain is not None and domain("{3}") == [3]
    assert types.convert(50_001) is None


def test_a_position_is_safe_when_all_before_it_is_durable() -> None:
    durable: Durable[str] = Durable()
    durable.mark("a")
    assert durable.safe == "a"
    for _ in range(3):
        durable.offered()
    durable.mark("b")
    durable.offered()
    durable.mark("c")
    durable.done(2)
    assert durable.safe == "a" and not durable.quiet
    durable.done(1)
    assert durable.safe == "b"
    durable.done(1)
    assert durable.safe == "c" and durable.quiet
