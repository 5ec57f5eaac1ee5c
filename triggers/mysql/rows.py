"""Rows of the binary log, and of a query, as plain data: alike, so that a snapshot and the stream agree."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from reactor.contracts.text import named
from triggers.kit.changes import Row, TableName
from triggers.mysql.table import DATETIME, TIME, TIMESTAMP, Column
from triggers.mysql.values import Decode, Plain, Take, plainer, taker
from triggers.mysql.wire import Bytes, RowsEvent, inflate

Convert = Callable[[Any], Any]


class Reading(msgspec.Struct, frozen=True):
    """How one column is read."""

    name: str
    take: Take
    plain: Plain


class Change(NamedTuple):
    old: Row | None
    new: Row | None
    unchanged: list[str]
    """Columns that the log does not have (binlog_row_image)."""
    fault: str | None


class Rows(NamedTuple):
    operation: str
    table: TableName
    changes: list[Change]
    compressed: bool
    weight: int


def check_form(column: Column, digits: int) -> None:
    """MariaDB may keep parts of a second in a form of its own, of which the log does not tell the size. Raises
    ValueError."""
    if column.type in (TIME, DATETIME, TIMESTAMP) and digits:
        raise ValueError(
            f"{column.name} keeps times in MariaDB's old form: SET GLOBAL mysql56_temporal_format = ON, and ALTER TABLE"
            " … FORCE"
        )


def reading(column: Column, declared: str, decode: Decode | None) -> Reading:
    """Raises ValueError for a type that cannot be passed over."""
    return Reading(column.name, taker(column), plainer(column, declared, decode))


def read_rows(event: RowsEvent, table: TableName, columns: list[Reading]) -> Rows:
    """Raises ValueError when the event does not fit the columns."""
    read = Bytes(event.body)
    if event.version == 2:
        read.take(read.number(2) - 2)
    width = read.length()
    if width != len(columns):
        raise ValueError(f"a row has {width} columns, its description {len(columns)}")
    images = [_present(read, width) for _ in range(2 if event.operation == "update" else 1)]
    if event.compressed:
        read = Bytes(inflate(read.take(read.left)))
    changes = []
    while read.left:
        values, left_out, fault = _row(read, columns, images[0])
        if event.operation == "update":
            new, left_out, other = _row(read, columns, images[1])
            fault = "; ".join(dict.fromkeys(filter(None, (fault, other)))) or None
            changes.append(Change(values, new, left_out, fault))
        elif event.operation == "insert":
            changes.append(Change(None, values, left_out, fault))
        else:
            changes.append(Change(values, None, [], fault))
    return Rows(event.operation, table, changes, event.compressed, len(changes) + len(event.body) // 2000)


def _present(read: Bytes, width: int) -> list[bool]:
    bits = read.take((width + 7) // 8)
    return [bool(bits[place // 8] >> place % 8 & 1) for place in range(width)]


def _row(read: Bytes, columns: list[Reading], present: list[bool]) -> tuple[Row, list[str], str | None]:
    """A row, the columns that it does not have, and what is wrong with it. A value that cannot be read is shown."""
    row: Row = {}
    left_out, faults = [], []
    nulls = read.take((sum(present) + 7) // 8)
    place = 0
    for column, there in zip(columns, present, strict=True):
        if not there:
            left_out.append(column.name)
            continue
        if nulls[place // 8] >> place % 8 & 1:
            row[column.name] = None
        else:
            raw = column.take(read)
            try:
                row[column.name] = column.plain(raw)
            except (ValueError, LookupError, OverflowError) as error:
                row |= named(column.name, raw) if isinstance(raw, bytes) else {column.name: raw}
                faults.append(f"the column {column.name}: {error}")
        place += 1
    return row, left_out, "; ".join(faults) or None


def _moment(text: str) -> str:
    """A TIMESTAMP is a moment in UTC, a DATETIME only a reading of some clock."""
    return text if text.startswith("0000-00-00") else f"{text}Z"


_ASKED: dict[str, Convert] = {
    "timestamp": _moment, "float": lambda value: float(f"{value:.6g}"),
    "bit": lambda text: int.from_bytes(b64decode(text)), "set": lambda text: sorted(filter(None, text.split(","))),
}  # fmt: skip


def convert_asked(type: str) -> Convert | None:
    """By the column's DATA_TYPE, for the plain values of a query; None where they are the same."""
    return _ASKED.get(type)
