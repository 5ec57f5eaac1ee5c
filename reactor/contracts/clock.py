"""Time and randomness as injected objects, so that the simulator can own both."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall clock for people and schedules, monotonic clock for waiting."""

    def now(self) -> float:
        """Wall time in seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` on the monotonic clock."""
        ...


class Ids(Protocol):
    """Makes new identifiers."""

    def new(self, prefix: str) -> str:
        """`prefix` and the 32 lower-case hexadecimal digits of a UUIDv7 (RFC 9562)."""
        ...
