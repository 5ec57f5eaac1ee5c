"""A place of the broker that is kept here too: for the day on which the broker forgets that we were there."""

from __future__ import annotations

from typing import Any

EVERY = 1.0
"""Seconds between two times that it is written."""


class Kept:
    """`place` is what is behind us: all before it is durable. It may be a little behind; what is read again is known by
    its key."""

    def __init__(self, ctx: Any, place: Any) -> None:
        self._ctx = ctx
        self._written = place
        self.place = place

    async def run(self) -> None:
        while True:
            await self._ctx.clock.sleep(EVERY)
            await self.write()

    async def write(self) -> None:
        if self.place != self._written:
            place = self.place
            await self._ctx.move({"last": place})
            self._written = place
