"""The even time in which durations are counted. It goes on over restarts, whatever becomes of the wall clock."""

from __future__ import annotations

import contextlib

from reactor.contracts.clock import JUMP, Clock, ahead
from reactor.contracts.errors import StoreFull
from reactor.contracts.event import Cursor
from reactor.contracts.store import Store

SOURCE = "reactor"
KEPT = 60.0
"""Seconds between two times that it is saved while runs begin: an unclean end costs durations no more than that."""


class Timeline:
    """Seconds as of the epoch that never jump. What the wall clock is ahead of them is kept in the store, so that the
    next process goes on where this one was."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store
        self._base = ahead(clock)
        self._begun = False
        self._shift = 0.0
        self._told = 0.0
        self._unsaved = False
        self._saved = 0.0
        self.used = False
        """Whether something was begun since it was saved."""

    @property
    def shift(self) -> float:
        """What the wall clock is ahead of this time; the same as long as nobody sets it."""
        lead = ahead(self._clock) - self._base
        if abs(lead - self._shift) > JUMP:
            self._shift, self._unsaved = lead, True
        return self._shift

    def now(self) -> float:
        return self._clock.monotonic() + self._base

    def offset(self, shift: float) -> float:
        """What is added to the monotonic clock for a run whose times are `shift` ahead."""
        return self._base + shift

    def lead(self) -> float:
        """What the wall clock is ahead now, exactly."""
        return self._clock.now() - self.now()

    async def begin(self) -> None:
        """Takes over where the process before was: a clock that was set back meanwhile holds nothing up."""
        if self._begun:
            return
        self._begun = True
        kept = await self._store.cursor(SOURCE)
        self._shift = self._told = _number(kept.get("shift"))
        last = _number(kept.get("steady"))
        self._base = ahead(self._clock) - self._shift
        if (lost := last - self.now()) > 0:
            self._base += lost
            self._shift -= lost
        await self.save()

    async def look(self) -> bool:
        """Whether the wall clock jumped since the last look."""
        jumped = self.shift != self._told
        self._told = self._shift
        if self._unsaved or (self.used and self.now() - self._saved > KEPT):
            await self.save()
        return jumped

    async def save(self) -> None:
        """On a full disk the next look tries again."""
        moved = [Cursor(SOURCE, "shift", self._shift), Cursor(SOURCE, "steady", self.now())]
        with contextlib.suppress(StoreFull):
            await self._store.move(moved)
            self._unsaved = self.used = False
            self._saved = self.now()


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
