"""MySQL's binary form of JSON (MySQL source documentation, "JSON binary format"). Pure."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

from reactor.kit.sql import plain_number
from triggers.mysql.decimal import read_decimal
from triggers.mysql.wire import Bytes

_SCALARS = {5: "<h", 6: "<H", 7: "<i", 8: "<I", 9: "<q", 10: "<Q", 11: "<d"}
_LITERALS = {0: None, 1: True, 2: False}
DECIMALS, DATES, MOMENTS, TIME = (0, 246), (10,), (7, 12), 11


def read_json(data: bytes) -> Any:
    """Raises ValueError."""
    if not data:
        return None
    try:
        return _value(data[0], data[1:])
    except (IndexError, KeyError, struct.error) as error:
        raise ValueError(f"its JSON is not whole: {error}") from None


def _value(type: int, data: bytes) -> Any:
    if type < 4:
        return _container(data, large=bool(type & 1), array=bool(type & 2))
    if type == 4:
        return _LITERALS[data[0]]
    if type in _SCALARS:
        return struct.unpack_from(_SCALARS[type], data)[0]
    read = Bytes(data)
    if type == 12:
        return read.take(_size(read)).decode()
    if type == 15:
        kind = read.number(1)
        return _opaque(kind, read.take(_size(read)))
    raise ValueError(f"its JSON has an unknown part ({type})")


def _size(read: Bytes) -> int:
    size = shift = 0
    while True:
        byte = read.number(1)
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return size


def _container(data: bytes, large: bool, array: bool) -> Any:
    """Offsets count from the container's begin; small values stand in their entries."""
    width = 4 if large else 2
    count = int.from_bytes(data[:width], "little")
    place = 2 * width
    names = []
    if not array:
        for _ in range(count):
            begin = int.from_bytes(data[place : place + width], "little")
            size = int.from_bytes(data[place + width : place + width + 2], "little")
            names.append(data[begin : begin + size].decode())
            place += width + 2
    values = []
    for _ in range(count):
        type, entry = data[place], data[place + 1 : place + 1 + width]
        inline = type in (4, 5, 6) or (large and type in (7, 8))
        values.append(_value(type, entry if inline else data[int.from_bytes(entry, "little") :]))
        place += 1 + width
    return values if array else dict(zip(names, values, strict=True))


def _opaque(kind: int, data: bytes) -> Any:
    """As the server writes it in JSON text."""
    if kind in DECIMALS:
        return plain_number(read_decimal(data[2:], data[0], data[1]))
    packed = int.from_bytes(data[:8], "little", signed=True) if len(data) == 8 else 0
    if kind == TIME and data:
        sign, packed = ("-", -packed) if packed < 0 else ("", packed)
        clock = packed >> 24
        return f"{sign}{clock >> 12:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}.{packed & 0xFFFFFF:06d}"
    if kind in DATES or kind in MOMENTS:
        whole, micro = packed >> 24, packed & 0xFFFFFF
        year, month = divmod(whole >> 22, 13)
        date = f"{year:04d}-{month:02d}-{whole >> 17 & 31:02d}"
        if kind in DATES:
            return date
        return f"{date} {whole >> 12 & 31:02d}:{whole >> 6 & 63:02d}:{whole & 63:02d}.{micro:06d}"
    return f"base64:type{kind}:{b64encode(data).decode()}"
