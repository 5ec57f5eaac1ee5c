"""Where a reader of the binary log stands: MariaDB's and MySQL's global transaction identifiers. Pure."""

from __future__ import annotations

import struct
import uuid
from typing import Any, Protocol


class Position(Protocol):
    """A set of transactions."""

    def add(self, gtid: str) -> None: ...

    def has(self, gtid: str) -> bool: ...

    def reaches(self, other: Any) -> bool:
        """Whether all of `other` is in it."""
        ...

    def __str__(self) -> str: ...


class MariaPosition:
    """`0-1-5,1-2-7`: the last transaction of each domain (domain, server, number)."""

    def __init__(self, text: str) -> None:
        self._last: dict[int, tuple[int, int]] = {}
        for gtid in filter(None, text.replace(" ", "").split(",")):
            self.add(gtid)

    def add(self, gtid: str) -> None:
        domain, server, number = map(int, gtid.split("-"))
        self._last[domain] = (server, number)

    def has(self, gtid: str) -> bool:
        domain, _, number = map(int, gtid.split("-"))
        return domain in self._last and number <= self._last[domain][1]

    def reaches(self, other: MariaPosition) -> bool:
        return all(domain in self._last and self._last[domain][1] >= n for domain, (_, n) in other._last.items())

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self._last.items()))


class MysqlPosition:
    """`uuid:1-5:7,…`: intervals of numbers for each server."""

    def __init__(self, text: str) -> None:
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, text.replace("\n", "").replace(" ", "").split(",")):
            server, *intervals = part.split(":")
            for interval in intervals:
                first, _, last = interval.partition("-")
                self._insert(server.lower(), int(first), int(last or first))

    def add(self, gtid: str) -> None:
        server, _, number = gtid.partition(":")
        self._insert(server.lower(), int(number), int(number))

    def _insert(self, server: str, first: int, last: int) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*self._ranges.get(server, []), (first, last)]):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        self._ranges[server] = merged

    def has(self, gtid: str) -> bool:
        server, _, number = gtid.partition(":")
        return any(low <= int(number) <= high for low, high in self._ranges.get(server.lower(), []))

    def reaches(self, other: MysqlPosition) -> bool:
        return all(
            any(low <= first and last <= high for low, high in self._ranges.get(server, []))
            for server, ranges in other._ranges.items()
            for first, last in ranges
        )

    def __str__(self) -> str:
        return ",".join(
            ":".join([server, *(f"{low}-{high}" if low < high else str(low) for low, high in ranges)])
            for server, ranges in sorted(self._ranges.items())
        )

    def encoded(self) -> bytes:
        """As the command to dump the log takes it: the ends of the intervals are exclusive."""
        parts = [struct.pack("<Q", len(self._ranges))]
        for server, ranges in sorted(self._ranges.items()):
            parts += [uuid.UUID(server).bytes, struct.pack("<Q", len(ranges))]
            parts += [struct.pack("<QQ", low, high + 1) for low, high in ranges]
        return b"".join(parts)
