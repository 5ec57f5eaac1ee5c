"""TCP connections within bounds: the first request must arrive in time, and there are only so many."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEADER_SECONDS = 20.0
"""How long a new connection may take for its first request's headers; later ones have the keep-alive time."""
MAX_CONNECTIONS = 10_000


class Connection(RequestHandler):
    """One connection; slow and surplus ones are closed."""

    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        manager: Any = self._manager
        if manager is not None and len(manager._connections) > MAX_CONNECTIONS:
            transport.abort()  # type: ignore[attr-defined]
            return
        self._slow = self._loop.call_later(HEADER_SECONDS, self._too_slow, transport)

    def begun(self) -> None:
        """A request's headers are complete."""
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.begun()
        super().connection_lost(exc)

    def _too_slow(self, transport: Any) -> None:
        self._slow = None
        transport.abort()


class Server(web.Server):
    """Makes our connections."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)
