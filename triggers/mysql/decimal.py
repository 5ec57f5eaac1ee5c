"""MySQL's binary form of exact numbers: groups of nine digits in four bytes, a smaller one at either end. Pure."""

from __future__ import annotations

import decimal

from triggers.mysql.wire import Bytes

_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""How many bytes a group of so many digits has."""


def decimal_size(precision: int, scale: int) -> int:
    return sum(groups * 4 + _BYTES[rest] for groups, rest in (divmod(precision - scale, 9), divmod(scale, 9)))


def read_decimal(raw: bytes, precision: int, scale: int) -> decimal.Decimal:
    """Groups of nine digits, big-endian; the first bit is turned round, and all of them in a negative number."""
    negative = not raw[0] & 0x80
    data = bytes([raw[0] ^ 0x80, *raw[1:]])
    read = Bytes(bytes(byte ^ 0xFF for byte in data) if negative else data)
    digits = ""
    for size, last in ((precision - scale, False), (scale, True)):
        groups, rest = divmod(size, 9)
        order = [*[9] * groups, rest] if last else [rest, *[9] * groups]
        for count in order:
            if count:
                digits += f"{int.from_bytes(read.take(_BYTES[count]), 'big'):0{count}d}"
        digits += "" if last else "."
    return decimal.Decimal(("-" if negative else "") + digits)
