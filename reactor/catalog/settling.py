"""Files that change, until they are quiet: a save in two writes never runs half."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.tree import Found

SETTLE = 0.3
"""Seconds between two looks that must find a file equal."""
NEVER_QUIET = 3.0
"""Seconds after which a file that keeps changing is reported."""


@dataclass
class _Waiting:
    found: Found
    named: tuple[Found | None, ...]
    since: float
    first: float


class Settling:
    """`found` is how a file stands, `named` how those stand that it names; times are on the monotonic clock."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def paths(self) -> Iterable[str]:
        return self._waiting.keys()

    def is_quiet(self, path: str, found: Found, named: tuple[Found | None, ...], now: float) -> bool:
        """Whether it has not changed for long enough; else it is waited for."""
        waiting = self._waiting.get(path)
        if waiting is None or waiting.found != found or waiting.named != named:
            self._waiting[path] = _Waiting(found, named, now, now if waiting is None else waiting.first)
            return False
        return now - waiting.since >= SETTLE

    def wait(self, path: str, found: Found, named: tuple[Found | None, ...], now: float) -> None:
        """Somebody writes there now."""
        self._waiting[path] = _Waiting(found, named, now, now)

    def forget(self, path: str) -> None:
        self._waiting.pop(path, None)

    def restless(self, now: float) -> set[str]:
        """Those that somebody should be told of."""
        return {path for path, one in self._waiting.items() if now - one.first > NEVER_QUIET}

    def due(self) -> float | None:
        """When the next may be taken; None when all are."""
        return min((one.since + SETTLE for one in self._waiting.values()), default=None)
