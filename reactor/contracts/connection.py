"""The contract of a connection: something outside that triggers and actions share, by name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Protocol

import msgspec


class ConnectionKind(Protocol):
    """A kind of connection. What `open` gives is shared by everyone who uses the name; a protocol that serves one
    caller at a time keeps its own pool inside."""

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[msgspec.Struct]]
    example: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    """URL schemes that stand for a connection of this kind (`connection: redis://host`)."""

    def __init__(self, options: Any) -> None: ...

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Settings from a URL. Raises ValueError."""
        ...

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        """What is wrong with settings of the right types: (setting, message)."""
        ...

    async def open(self) -> Any:
        """The client. Raises NotConnected."""
        ...

    async def check(self, client: Any) -> None:
        """One exchange with the other side that changes nothing there. Raises NotConnected."""
        ...

    async def close(self, client: Any) -> None: ...


class Lend(Protocol):
    """How triggers and actions get a client: open while the block runs, shared, reopened after a fault."""

    def __call__(self, name: str) -> AbstractAsyncContextManager[Any]:
        """`name` is that of a connection, or a URL. Raises NotConnected. NotConnected out of the block closes the
        client; any other error leaves it to its other users."""
        ...
