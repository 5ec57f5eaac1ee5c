"""One line a burst: what comes again and again is counted, not written again and again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

QUIET = 60.0
"""Seconds without the thing that end a burst,"""
LONG = 600.0
"""and seconds after which a burst that does not end is written again."""
MAX_KEYS = 50
"""Bursts followed one by one; those of further keys are one together."""


@dataclass(slots=True)
class _Burst:
    written: float
    seen: float
    left_out: int = 0


class Bursts:
    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, _Burst] = OrderedDict()

    def note(self, key: str) -> int | None:
        """None: leave the line out. A number: write it; so many were left out since the last one."""
        now = self._now()
        while self._known and now - next(iter(self._known.values())).seen > LONG:
            self._known.popitem(last=False)
        if key not in self._known and len(self._known) >= MAX_KEYS:
            key = ""
        burst = self._known.get(key)
        if burst is None:
            self._known[key] = _Burst(now, now)
            return 0
        due = now - burst.seen > QUIET or now - burst.written > LONG
        burst.seen = now
        self._known.move_to_end(key)
        if not due:
            burst.left_out += 1
            return None
        left_out, burst.left_out, burst.written = burst.left_out, 0, now
        return left_out
