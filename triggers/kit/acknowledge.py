"""Acknowledging in order: one connection fills a batch, and nothing is acknowledged before it is durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from reactor.contracts.trigger import Receipt

AT_ONCE = 1000
"""Messages that may be on their way to the store."""

Message = TypeVar("Message")


class Acknowledger(Generic[Message]):
    """`add` what was offered, in the order of the source; `run` awaits each and acknowledges what is durable, as many
    at once as there are. A receipt that fails ends `run`: nothing behind it is acknowledged."""

    def __init__(self, acknowledge: Callable[[list[Message]], Awaitable[None]], at_once: int = AT_ONCE) -> None:
        self._acknowledge = acknowledge
        self._at_once = at_once
        self._offered: deque[tuple[Awaitable[Receipt | None], Message]] = deque()
        self.waiting = 0
        self._news = anyio.Event()
        self._room = anyio.Event()

    async def add(self, receipt: Awaitable[Receipt | None], message: Message) -> None:
        """Waits while too many are on their way. A receipt gives None where the message did not become an
        event."""
        while self.waiting >= self._at_once:
            await self._room.wait()
        self.waiting += 1
        self._offered.append((receipt, message))
        self._news.set()

    async def quiet(self) -> None:
        """Returns when all that was added is acknowledged."""
        while self.waiting:
            await self._room.wait()

    async def run(self) -> None:
        while True:
            if not self._offered:
                self._news = anyio.Event()
                await self._news.wait()
            batch = list(self._offered)
            self._offered.clear()
            done: list[Message] = []
            try:
                for receipt, message in batch:
                    await receipt
                    done.append(message)
            finally:
                if done:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                        await self._acknowledge(done)
            self.waiting -= len(batch)
            room, self._room = self._room, anyio.Event()
            room.set()


async def nothing() -> None:
    """The receipt of a message that is acknowledged though nothing was made of it."""
