"""The real clock and the real source of ids. The only place that reads either."""

from __future__ import annotations

import os
import sys
import time

import anyio

BOOT: int | None = time.CLOCK_BOOTTIME if sys.platform == "linux" else None


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        """Goes on while the machine sleeps, where the system has such a clock."""
        return time.monotonic() if BOOT is None else time.clock_gettime(BOOT)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class SystemIds:
    """UUIDv7 (RFC 9562): 48 bits of milliseconds, then a counter seeded at random each millisecond, so that ids of
    one process only grow."""

    def __init__(self) -> None:
        self._last = 0
        self._counter = 0
        self._random = b""
        self._place = 0

    def new(self, prefix: str) -> str:
        moment = time.time_ns() // 1_000_000
        if moment > self._last:
            self._last = moment
            self._counter = int.from_bytes(self._bytes(4), "big") >> 2
        else:
            self._counter += 1
        tail = int.from_bytes(self._bytes(6), "big") & ((1 << 44) - 1)
        counter = self._counter & ((1 << 30) - 1)
        value = self._last << 80 | 0x7 << 76 | (counter >> 18) << 64 | 0b10 << 62 | (counter & 0x3FFFF) << 44 | tail
        return f"{prefix}{value:032x}"

    def _bytes(self, count: int) -> bytes:
        if self._place + count > len(self._random):
            self._random = os.urandom(4096)
            self._place = 0
        part = self._random[self._place : self._place + count]
        self._place += count
        return part
