"""What actions keep open between calls: one client a key, bounded in number, closed when it is idle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import anyio

from reactor.contracts.action import Closable
from reactor.contracts.clock import Clock

MOST = 128
"""Clients that stay open while nobody uses them."""
IDLE = 60.0
"""Seconds after which a client that nobody uses is closed."""
LOOK = 15.0


C = TypeVar("C", bound=Closable)


class _Entry:
    def __init__(self, client: Closable) -> None:
        self.client = client
        self.users = 0
        self.used = 0.0


class SharedClients:
    """Fulfils `reactor.contracts.action.Clients`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[Hashable, _Entry] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def lend(self, key: Hashable, make: Callable[[], Awaitable[C]]) -> AsyncIterator[C]:
        entry = self._entries.pop(key, None)
        if entry is None:
            made = await make()
            entry = self._entries.pop(key, None)
            if entry is None:
                entry = _Entry(made)
            else:  # another caller was faster
                await made.close()
        self._entries[key] = entry  # the least recently used is the first
        entry.users += 1
        try:
            yield cast("C", entry.client)  # a key is for one kind of client
        finally:
            entry.users -= 1
            entry.used = self._clock.monotonic()
            if self._closed or len(self._entries) > MOST:
                with anyio.CancelScope(shield=True):
                    await self._shrink()

    async def watch(self) -> None:
        """Closes what is idle, until cancelled."""
        while True:
            await self._clock.sleep(LOOK)
            before = self._clock.monotonic() - IDLE
            for key, entry in list(self._entries.items()):
                if not entry.users and entry.used < before and self._entries.get(key) is entry:
                    del self._entries[key]
                    await entry.client.close()

    async def _shrink(self) -> None:
        for key, entry in list(self._entries.items()):
            if not self._closed and len(self._entries) <= MOST:
                return
            if not entry.users and self._entries.get(key) is entry:
                del self._entries[key]
                await entry.client.close()

    async def close(self) -> None:
        """Closes all that nobody uses; the rest when it is given back."""
        self._closed = True
        await self._shrink()
