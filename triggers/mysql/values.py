"""The values of the binary log's rows, as the text that a query has, and so as plain data. Pure."""

from __future__ import annotations

import datetime
import socket
import struct
import uuid
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from reactor.kit.sql import plain_number, plain_value
from triggers.mysql import table as t
from triggers.mysql.decimal import decimal_size, read_decimal
from triggers.mysql.json import read_json
from triggers.mysql.table import Column
from triggers.mysql.wire import Bytes

Decode = Callable[[bytes], str]
"""Text out of bytes of one character set. Raises ValueError."""
Take = Callable[[Bytes], Any]
Plain = Callable[[Any], Any]
INTEGERS = {t.TINY: 1, t.SHORT: 2, t.INT24: 3, t.LONG: 4, t.LONGLONG: 8}


def taker(column: Column) -> Take:
    """How a column's value is cut out of a row: always as many bytes, whatever is in them."""
    type, meta = column.type, column.meta
    if type in INTEGERS:
        size, signed = INTEGERS[type], not column.unsigned
        return lambda read: int.from_bytes(read.take(size), "little", signed=signed)
    if type in (t.VARCHAR, t.VARCHAR_COMPRESSED):
        prefix = 2 if int.from_bytes(meta, "little") > 255 else 1
        return lambda read: read.take(read.number(prefix))
    if type in (t.STRING, t.VAR_STRING):
        prefix = 2 if column.size > 255 else 1
        return lambda read: read.take(read.number(prefix))
    if type in (t.BLOB, t.BLOB_COMPRESSED, t.GEOMETRY, t.JSON, t.VECTOR):
        prefix = meta[0]
        return lambda read: read.take(read.number(prefix))
    if type in (t.ENUM, t.SET):
        size = column.size
        return lambda read: read.number(size)
    sizes = {
        t.FLOAT: 4, t.DOUBLE: 8, t.YEAR: 1, t.DATE: 3, t.NEWDATE: 3, t.TIME: 3, t.DATETIME: 8, t.TIMESTAMP: 4,
        t.NULL: 0,
    }  # fmt: skip
    if type in sizes:
        size = sizes[type]
    elif type in (t.TIMESTAMP2, t.DATETIME2, t.TIME2):
        size = {t.TIMESTAMP2: 4, t.DATETIME2: 5, t.TIME2: 3}[type] + (meta[0] + 1) // 2
    elif type == t.BIT:
        size = meta[1] + (meta[0] + 7) // 8
    elif type == t.NEWDECIMAL:
        size = decimal_size(meta[0], meta[1])
    else:
        raise ValueError(f"the column {column.name} is of a type that is not known ({type})")
    return lambda read: read.take(size)


def plainer(column: Column, declared: str, decode: Decode | None) -> Plain:
    """What a query would show of a value that was cut out. `declared` is the column's DATA_TYPE, which tells what the
    log does not; `decode` is None for bytes. What is made may raise ValueError."""
    type, meta = column.type, column.meta
    if type in (t.STRING, t.VAR_STRING) and declared in FIXED:
        return FIXED[declared]
    if type in (t.STRING, t.VAR_STRING) and decode is None:
        size = column.size
        return lambda raw: _base64(raw.ljust(size, b"\0"))  # the log leaves trailing zeros out
    if type in (t.STRING, t.VAR_STRING):
        text = decode or _latin
        return lambda raw: text(raw).rstrip(" ")
    if type in (t.VARCHAR_COMPRESSED, t.BLOB_COMPRESSED):
        shown = decode or _base64
        return lambda raw: shown(_inflate(raw))
    if type in (t.VARCHAR, t.BLOB, t.GEOMETRY, t.VECTOR):
        return _base64 if decode is None or type in (t.GEOMETRY, t.VECTOR) else decode
    if type in (t.ENUM, t.SET):
        labels = ["", *((decode or _latin)(label) for label in column.labels)]
        return (lambda raw: labels[raw]) if type == t.ENUM else (lambda raw: _set(raw, labels))
    if type == t.NEWDECIMAL:
        return lambda raw: plain_number(read_decimal(raw, meta[0], meta[1]))
    if type == t.DATETIME2:
        return lambda raw: _datetime2(raw, meta[0])
    if type == t.TIMESTAMP2:
        return lambda raw: _timestamp(int.from_bytes(raw[:4], "big"), _fraction(raw[4:], meta[0]))
    if type == t.TIME2:
        return lambda raw: _time2(raw, meta[0])
    return PLAIN.get(type, lambda raw: raw)


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _latin(raw: bytes) -> str:
    return raw.decode("latin-1")


def _set(raw: int, labels: list[str]) -> list[str]:
    return sorted(label for place, label in enumerate(labels[1:]) if raw >> place & 1)


def _float(raw: bytes) -> float:
    """A single float has six digits, as the server writes it."""
    return float(f"{struct.unpack('<f', raw)[0]:.6g}")


def _fraction(raw: bytes, digits: int) -> int:
    """Microseconds."""
    value = int.from_bytes(raw, "big")
    return value * 10 ** (6 - 2 * len(raw)) if digits else 0


def moment(year: int, month: int, day: int, clock: tuple[int, int, int], micro: int, digits: int) -> str:
    """A DATETIME; one that is not in the calendar stays as the server writes it."""
    try:
        found = datetime.datetime(year, month, day, *clock, micro, tzinfo=datetime.UTC)
        return found.replace(tzinfo=None).isoformat()
    except ValueError:
        part = f".{micro:06d}"[: digits + 1] if digits else ""
        hour, minute, second = clock
        return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{part}"


def _datetime2(raw: bytes, digits: int) -> str:
    packed = int.from_bytes(raw[:5], "big") - (1 << 39)
    year, month = divmod(packed >> 22, 13)
    clock = (packed >> 12 & 31, packed >> 6 & 63, packed & 63)
    return moment(year, month, packed >> 17 & 31, clock, _fraction(raw[5:], digits), digits)


def _datetime(raw: bytes) -> str:
    date, clock = divmod(int.from_bytes(raw, "little"), 1_000_000)
    return moment(date // 10000, date // 100 % 100, date % 100, (clock // 10000, clock // 100 % 100, clock % 100), 0, 0)


def _timestamp(seconds: int, micro: int) -> str:
    """A moment, but for the zero that the server has instead of one."""
    if not seconds:
        return "0000-00-00 00:00:00"
    found = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds, microseconds=micro)
    return found.replace(tzinfo=None).isoformat() + "Z"


def _time2(raw: bytes, digits: int) -> Any:
    """Counted from a middle, fraction and all."""
    size = (digits + 1) // 2
    packed = int.from_bytes(raw, "big") - (1 << 23 + 8 * size)
    sign, packed = (-1, -packed) if packed < 0 else (1, packed)
    micro = (packed & (1 << 8 * size) - 1) * 10 ** (6 - 2 * size) if size else 0
    whole = packed >> 8 * size
    span = datetime.timedelta(hours=whole >> 12 & 1023, minutes=whole >> 6 & 63, seconds=whole & 63, microseconds=micro)
    return plain_value(sign * span)


def _time(raw: bytes) -> Any:
    number = int.from_bytes(raw, "little", signed=True)
    sign, number = (-1, -number) if number < 0 else (1, number)
    span = datetime.timedelta(hours=number // 10000, minutes=number // 100 % 100, seconds=number % 100)
    return plain_value(sign * span)


def _date(raw: bytes) -> str:
    packed = int.from_bytes(raw, "little")
    return f"{packed >> 9:04d}-{packed >> 5 & 15:02d}-{packed & 31:02d}"


def _inflate(raw: bytes) -> bytes:
    """A value of a COMPRESSED column: how, then its length, then raw deflate."""
    if not raw or raw[0] == 0:
        return raw[1:]
    if raw[0] >> 4 != 8:
        raise ValueError(f"it is compressed in an unknown way ({raw[0]:#x})")
    wrapped = zlib.MAX_WBITS if not raw[0] & 8 else -zlib.MAX_WBITS
    try:
        return zlib.decompress(raw[1 + (raw[0] & 7) :], wrapped)
    except zlib.error as error:
        raise ValueError(str(error)) from None


FIXED: dict[str, Plain] = {
    "uuid": lambda raw: str(uuid.UUID(bytes=raw.ljust(16, b"\0"))),
    "inet4": lambda raw: socket.inet_ntop(socket.AF_INET, raw.ljust(4, b"\0")),
    "inet6": lambda raw: socket.inet_ntop(socket.AF_INET6, raw.ljust(16, b"\0")),
}  # fmt: skip
"""MariaDB's types whose bytes the log does not tell from BINARY."""
PLAIN: dict[int, Plain] = {
    t.FLOAT: _float, t.DOUBLE: lambda raw: plain_value(struct.unpack("<d", raw)[0]),
    t.YEAR: lambda raw: raw[0] + 1900 if raw[0] else 0, t.DATE: _date, t.NEWDATE: _date, t.TIME: _time,
    t.DATETIME: _datetime, t.TIMESTAMP: lambda raw: _timestamp(int.from_bytes(raw, "little"), 0),
    t.BIT: lambda raw: int.from_bytes(raw, "big"), t.JSON: lambda raw: read_json(raw), t.NULL: lambda raw: None,
}  # fmt: skip
