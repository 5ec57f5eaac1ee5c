"""What a connection of the kind nats lends, as far as the trigger uses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import anyio
from nats.aio.msg import Msg
from nats.js import JetStreamContext


class Message(Msg):
    """The library's, with its headers as they came."""

    pairs: Sequence[tuple[bytes, bytes]]


class Subscription(Protocol):
    async def unsubscribe(self) -> None: ...


class Connection(Protocol):
    @property
    def hear(self) -> set[Callable[[Exception], None]]:
        """Told of errors that are not those of the connection."""
        ...

    @property
    def denied(self) -> str | None:
        """What the server last refused."""
        ...

    async def subscribe(
        self, subject: str, queue: str = "", *, cb: Callable[[Message], Awaitable[None]]
    ) -> Subscription: ...

    async def publish(self, subject: str, payload: bytes, *, headers: dict[str, str] | None = None) -> None: ...

    async def flush(self, timeout: float) -> None: ...


class Lent(Protocol):
    @property
    def connection(self) -> Connection: ...

    @property
    def gone(self) -> anyio.Event:
        """Set when the connection is lost: it is opened anew."""
        ...

    @property
    def jetstream(self) -> JetStreamContext: ...
