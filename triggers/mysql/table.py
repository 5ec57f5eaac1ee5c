"""What the binary log says of a table's columns. Pure."""

from __future__ import annotations

import msgspec

from reactor.contracts.text import shown
from triggers.mysql.wire import Bytes

TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24, DATE, TIME, DATETIME, YEAR = range(1, 14)
NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = range(14, 20)
BLOB_COMPRESSED, VARCHAR_COMPRESSED, VECTOR, JSON, NEWDECIMAL, ENUM, SET = 140, 141, 242, 245, 246, 247, 248
BLOB, VAR_STRING, STRING, GEOMETRY = 252, 253, 254, 255
_ONE = frozenset({FLOAT, DOUBLE, BLOB, GEOMETRY, JSON, VECTOR, BLOB_COMPRESSED, TIMESTAMP2, DATETIME2, TIME2})
_TWO = frozenset({VARCHAR, VARCHAR_COMPRESSED, BIT, NEWDECIMAL, VAR_STRING, STRING, ENUM, SET})
"""Types with one byte, or two, of their own in the description."""
_NUMERIC = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, NEWDECIMAL, FLOAT, DOUBLE, YEAR})
_TEXT = frozenset({VARCHAR, VAR_STRING, STRING, BLOB, VARCHAR_COMPRESSED, BLOB_COMPRESSED})
BINARY = 63
"""The number of the collation of bytes."""


class Column(msgspec.Struct):
    type: int
    meta: bytes
    name: str = ""
    unsigned: bool = False
    collation: int | None = None
    labels: list[bytes] = msgspec.field(default_factory=list)
    size: int = 0
    """The most bytes of a CHAR or BINARY; the bytes of an ENUM's or SET's number."""


def read_columns(body: bytes, maria: bool) -> list[Column]:
    """Raises ValueError where the log has no names of columns (binlog_row_metadata = MINIMAL)."""
    read = Bytes(body)
    types = read.take(read.length())
    described = Bytes(read.take(read.length()))
    columns = []
    for type in types:
        column = Column(type, described.take(1 if type in _ONE else 2 if type in _TWO else 0))
        if type in (STRING, VAR_STRING):
            _fixed(column)
        columns.append(column)
    read.take((len(columns) + 7) // 8)
    while read.left:
        _more(columns, read.number(1), Bytes(read.take(read.length())), maria)
    if any(not column.name for column in columns):
        raise ValueError("the log has no names of columns: SET GLOBAL binlog_row_metadata = FULL")
    return columns


def _fixed(column: Column) -> None:
    """ENUM and SET come as STRING; two bits of a long CHAR's size stand in the byte of the type."""
    type, size = column.meta
    if type in (ENUM, SET):
        column.type, column.size = type, size
    elif type & 0x30 != 0x30:
        column.size = size | ((type & 0x30) ^ 0x30) << 4
    else:
        column.size = size


def _more(columns: list[Column], field: int, read: Bytes, maria: bool) -> None:
    """One field of the additional description."""
    texts = [c for c in columns if c.type in _TEXT or (maria and c.type == GEOMETRY)]
    labelled = [column for column in columns if column.type in (ENUM, SET)]
    if field == 1:
        bits = read.take(read.left)
        for place, column in enumerate(c for c in columns if c.type in _NUMERIC):
            column.unsigned = bool(bits[place // 8] & 0x80 >> place % 8)
    elif field in (2, 10):
        chosen = texts if field == 2 else labelled
        usual = read.length()
        for column in chosen:
            column.collation = usual
        while read.left:
            place = read.length()
            chosen[place].collation = read.length()
    elif field in (3, 11):
        for column in texts if field == 3 else labelled:
            column.collation = read.length()
    elif field == 4:
        for column in columns:
            column.name = shown(read.take(read.length()))
    elif field in (5, 6):
        for column in columns:
            if column.type == (SET if field == 5 else ENUM):
                column.labels = [read.take(read.length()) for _ in range(read.length())]
