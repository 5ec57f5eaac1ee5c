"""The events of the binary log (MariaDB Knowledge Base, "Replication Protocol"; MySQL source documentation, "Binlog
Event"). Pure: bytes to structs. Rows stay bytes until somebody wants the table."""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import NamedTuple

_HEADER = struct.Struct("<IBIIIH")
_QUERY = struct.Struct("<IIBHH")
PREPARED_XA = 64
"""MariaDB's flag of a transaction that is prepared, and may still be rolled back."""
QUERY, ROTATE, FORMAT, XID, TABLE_MAP, HEARTBEAT, GTID, XA_PREPARE = 2, 4, 15, 16, 19, 27, 33, 38
PARTIAL_UPDATE, PAYLOAD, QUERY_COMPRESSED, MARIA_GTID, START_ENCRYPTION = 39, 40, 165, 162, 164
ROWS = {
    23: ("insert", 1), 24: ("update", 1), 25: ("delete", 1), 30: ("insert", 2), 31: ("update", 2), 32: ("delete", 2),
}  # fmt: skip
ROWS_COMPRESSED = {
    166: ("insert", 1), 167: ("update", 1), 168: ("delete", 1), 169: ("insert", 2), 170: ("update", 2),
    171: ("delete", 2),
}  # fmt: skip
UNREADABLE = {
    PARTIAL_UPDATE: "it has JSON in parts: SET GLOBAL binlog_row_value_options = ''",
    PAYLOAD: "it has compressed transactions: SET GLOBAL binlog_transaction_compression = OFF",
}


class Unreadable(Exception):
    """The log has something that cannot be passed over, because changes would be lost."""


class Begin(NamedTuple):
    gtid: str
    at: float
    alone: bool
    """A transaction of one statement without an end of its own."""
    prepared: bool = False


class Commit(NamedTuple):
    pass


class Query(NamedTuple):
    schema: str
    text: str


class Rotate(NamedTuple):
    file: str
    position: int
    fake: bool
    """Sent to say where reading begins, not written by the server: numbers of tables go on."""


class TableMap(NamedTuple):
    number: int
    schema: str
    table: str
    body: bytes
    """The description of the columns."""


class RowsEvent(NamedTuple):
    operation: str
    table: int
    version: int
    body: bytes
    compressed: bool


class Prepared(NamedTuple):
    """The end of an XA transaction that waits for its outcome; in `one_phase` it has it."""

    one_phase: bool


Item = Begin | Commit | Query | Rotate | TableMap | RowsEvent | Prepared | None


class Bytes:
    """Reads a piece of memory from its front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.place

    def take(self, size: int) -> bytes:
        end = self.place + size
        if end > len(self.data):
            raise ValueError("the event ends too early")
        found = self.data[self.place : end]
        self.place = end
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def length(self) -> int:
        """A length-encoded integer."""
        first = self.number(1)
        return self.number({252: 2, 253: 3, 254: 8}[first]) if first > 251 else first


def has_checksums(data: bytes) -> bool | None:
    """What the first event of a file says of the others; None for any other event."""
    return bool(data[-5]) if data[4] == FORMAT else None


def read_event(data: bytes, checksum: bool) -> tuple[Item, int]:
    """One event, and the position behind it (0: none of its own). Raises Unreadable."""
    at, kind, server, _, position, flags = _HEADER.unpack_from(data)
    body = data[_HEADER.size : -4 if checksum else None]
    if kind in ROWS or kind in ROWS_COMPRESSED:
        compressed = kind in ROWS_COMPRESSED
        operation, version = (ROWS_COMPRESSED if compressed else ROWS)[kind]
        return RowsEvent(operation, int.from_bytes(body[:6], "little"), version, body[8:], compressed), position
    if kind == TABLE_MAP:
        return _table_map(body), position
    if kind in (QUERY, QUERY_COMPRESSED):
        return _query(body, kind == QUERY_COMPRESSED), position
    if kind == XID:
        return Commit(), position
    if kind == MARIA_GTID:
        number, domain, marks = struct.unpack_from("<QIB", body)
        return Begin(f"{domain}-{server}-{number}", float(at), bool(marks & 1), bool(marks & PREPARED_XA)), position
    if kind == GTID:
        number = int.from_bytes(body[17:25], "little")
        return Begin(f"{uuid.UUID(bytes=body[1:17])}:{number}", float(at), False), position
    if kind == ROTATE:
        fake = at == 0 or bool(flags & 0x20)
        return Rotate(body[8:].decode("utf-8", "replace"), int.from_bytes(body[:8], "little"), fake), 0
    if kind == XA_PREPARE:
        return Prepared(bool(body[0])), position
    if kind in UNREADABLE:
        raise Unreadable(UNREADABLE[kind])
    return None, 0 if kind in (FORMAT, HEARTBEAT) else position


def _table_map(body: bytes) -> TableMap:
    read = Bytes(body)
    number = read.number(6)
    read.take(2)
    names = []
    for _ in range(2):
        names.append(read.take(read.number(1)).decode("utf-8", "surrogateescape"))
        read.take(1)
    return TableMap(number, names[0], names[1], body[read.place :])


def _query(body: bytes, compressed: bool) -> Query:
    _, _, size, _, variables = _QUERY.unpack_from(body)
    place = _QUERY.size + variables
    schema = body[place : place + size].decode("utf-8", "surrogateescape")
    text = body[place + size + 1 :]
    return Query(schema, (inflate(text) if compressed else text).decode("utf-8", "replace"))


def inflate(data: bytes) -> bytes:
    """MariaDB's compressed part of an event: a byte with the number of bytes of the length, the length, zlib."""
    if data[0] & 0x70:
        raise Unreadable("it is compressed in an unknown way: SET GLOBAL log_bin_compress = OFF")
    return zlib.decompress(data[1 + (data[0] & 0x07) :])
