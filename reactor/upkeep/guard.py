"""A store whose disk failed ends the daemon: it is reopened, never trusted again by this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from reactor.contracts.errors import StoreFailed
from reactor.contracts.facts import DaemonFailed
from reactor.contracts.observe import Observer


class Guard:
    """Sets `stopping` when work that it guards finds the store failed."""

    def __init__(self, stopping: anyio.Event, observer: Observer) -> None:
        self._stopping = stopping
        self._observer = observer
        self.failed: str | None = None
        """Why the daemon ends."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreFailed as error:
            self.failed = str(error)
            self._observer.observe(DaemonFailed(error=str(error)))
            self._stopping.set()

    def is_healthy(self) -> bool:
        return self.failed is None
