"""How triggers and actions borrow what they share outside, by name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from reactor.contracts.errors import NotConnected


class Lender(Protocol):
    """Who keeps the connections."""

    def lend(self, name: str) -> AbstractAsyncContextManager[Any]:
        """As `Lend`."""
        ...

    def secrets_of(self, name: str) -> dict[str, str]:
        """The secrets that an open connection was given, by name."""
        ...


class Lend(Protocol):
    """How triggers and actions get a client: open while the block runs, shared, reopened after a fault."""

    def __call__(self, name: str) -> AbstractAsyncContextManager[Any]:
        """`name` is that of a connection, or a URL. Raises NotConnected. NotConnected out of the block closes the
        client; any other error leaves it to its other users."""
        ...


def no_connection(name: str) -> AbstractAsyncContextManager[Any]:
    """A `Lend` of somebody who has none."""
    raise NotConnected(f"there is no connection {name}")
