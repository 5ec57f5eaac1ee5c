"""A place of the broker that is kept here too: for the day on which the broker forgets that we were there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio

from reactor.contracts.trigger import TriggerContext

EVERY = 1.0
"""Seconds between two times that it is written."""


WITHIN = 5.0
Place = TypeVar("Place")


class Kept(Generic[Place]):
    """`place` is what is behind us: all before it is durable. It may be a little behind; what is read again is known by
    its key."""

    def __init__(self, ctx: TriggerContext, place: Place) -> None:
        self._ctx = ctx
        self._written = place
        self.place = place

    async def run(self) -> None:
        while True:
            await self._ctx.clock.sleep(EVERY)
            await self.write()

    @asynccontextmanager
    async def to_the_end(self) -> AsyncIterator[None]:
        """What was done last is written when the listening ends: the next one may find a broker that has forgotten."""
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(WITHIN):
                await self.write()

    async def write(self) -> None:
        if self.place != self._written:
            place = self.place
            await self._ctx.move({"last": place})
            self._written = place
