"""The messages of PostgreSQL's logical decoding plugin `pgoutput`, protocol version 1 (PostgreSQL documentation,
"Logical Replication Message Formats"). Pure: bytes to structs; values stay text, with bytes that are not UTF-8 (of a
database in SQL_ASCII) as surrogates."""

from __future__ import annotations

import struct
from typing import NamedTuple

EPOCH = 946_684_800.0
"""2000-01-01 in seconds since 1970: PostgreSQL counts from there."""
_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")


class Unchanged:
    """Stands for a large value that an update did not touch, which the server does not send."""


UNCHANGED = Unchanged()
Values = list[str | Unchanged | None]


class Begin(NamedTuple):
    lsn: int
    """Where the commit stands in the log."""
    committed: float
    transaction: int


class Commit(NamedTuple):
    end: int
    """The first position behind the transaction."""


class Column(NamedTuple):
    name: str
    oid: int
    key: bool


class Relation(NamedTuple):
    id: int
    schema: str
    name: str
    identity: str
    columns: tuple[Column, ...]


class Change(NamedTuple):
    """`operation` is insert, update or delete; `whole` says whether `old` has all columns or only the key's."""

    operation: str
    relation: int
    old: Values | None
    whole: bool
    new: Values | None


class Truncate(NamedTuple):
    relations: tuple[int, ...]


class Message(NamedTuple):
    prefix: str
    content: bytes


Decoded = Begin | Commit | Relation | Change | Truncate | Message | None


def decode(data: bytes) -> Decoded:
    """One message; None for a kind with nothing of ours (origin, type). Raises ValueError for an unknown one."""
    kind = data[:1]
    if kind == b"I":
        return Change("insert", _U32.unpack_from(data, 1)[0], None, False, _values(data, 6)[0])
    if kind == b"U":
        relation = _U32.unpack_from(data, 1)[0]
        place, mark, old = 6, data[5:6], None
        if mark != b"N":
            old, place = _values(data, place)
            place += 1
        return Change("update", relation, old, mark == b"O", _values(data, place)[0])
    if kind == b"D":
        return Change("delete", _U32.unpack_from(data, 1)[0], _values(data, 6)[0], data[5:6] == b"O", None)
    if kind == b"B":
        lsn, moment, transaction = _BEGIN.unpack_from(data, 1)
        return Begin(lsn, EPOCH + moment / 1e6, transaction)
    if kind == b"C":
        return Commit(_COMMIT.unpack_from(data, 1)[2])
    if kind == b"R":
        return _relation(data)
    if kind == b"T":
        count = _U32.unpack_from(data, 1)[0]
        return Truncate(struct.unpack_from(f">{count}I", data, 6))
    if kind == b"M":
        prefix, place = _text(data, 10)
        size = _U32.unpack_from(data, place)[0]
        return Message(prefix, data[place + 4 : place + 4 + size])
    if kind in (b"O", b"Y"):
        return None
    raise ValueError(f"the server sent an unknown message {kind!r}")


def _values(data: bytes, place: int) -> tuple[Values, int]:
    count = _U16.unpack_from(data, place)[0]
    place += 2
    found: Values = []
    for _ in range(count):
        mark = data[place]
        place += 1
        if mark == 0x74:  # t
            size = _U32.unpack_from(data, place)[0]
            place += 4
            found.append(data[place : place + size].decode("utf-8", "surrogateescape"))
            place += size
        elif mark == 0x6E:  # n
            found.append(None)
        elif mark == 0x75:  # u
            found.append(UNCHANGED)
        else:
            raise ValueError(f"the server sent a value of an unknown form {mark:#x}")
    return found, place


def _relation(data: bytes) -> Relation:
    id = _U32.unpack_from(data, 1)[0]
    schema, place = _text(data, 5)
    name, place = _text(data, place)
    identity = chr(data[place])
    count = _U16.unpack_from(data, place + 1)[0]
    place += 3
    columns = []
    for _ in range(count):
        key = bool(data[place] & 1)
        column, place = _text(data, place + 1)
        columns.append(Column(column, _U32.unpack_from(data, place)[0], key))
        place += 8
    return Relation(id, schema or "pg_catalog", name, identity, tuple(columns))


def _text(data: bytes, place: int) -> tuple[str, int]:
    end = data.index(0, place)
    return data[place:end].decode("utf-8", "surrogateescape"), end + 1


def lsn_text(lsn: int) -> str:
    """As PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
