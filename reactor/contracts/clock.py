"""Time and randomness as injected objects, so that the simulator can own both."""

from __future__ import annotations

from typing import Protocol

JUMP = 0.25
"""Seconds by which the wall clock may differ from the even one before it counts as set anew."""
CLOSE = 0.01


class Clock(Protocol):
    """Wall clock for people, for moments and for schedules; monotonic clock for durations."""

    def now(self) -> float:
        """Wall time in seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` on the monotonic clock."""
        ...


def ahead(clock: Clock) -> float:
    """What the wall clock is ahead of the monotonic one; both are read in one moment."""
    while True:
        before = clock.monotonic()
        wall = clock.now()
        if clock.monotonic() - before < CLOSE:
            return wall - before


class Ids(Protocol):
    """Makes new identifiers."""

    def new(self, prefix: str) -> str:
        """`prefix` and the 32 lower-case hexadecimal digits of a UUIDv7 (RFC 9562)."""
        ...
