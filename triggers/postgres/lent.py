"""What a connection of the kind postgres lends, as far as the triggers use it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from psycopg2.extras import LogicalReplicationConnection

from reactor.kit.sql import Dialect, Params, Session


class PostgresSession(Session, Protocol):
    async def texts(self, query: str, params: Params = None) -> list[dict[str, str | None]]:
        """The rows as the server writes their values."""
        ...


class Kind(Protocol):
    def dsn(self) -> str:
        """For a connection of one's own."""
        ...


class PostgresDatabase(Protocol):
    """`Database`, and a way to follow the server's log."""

    dialect: Dialect

    @property
    def kind(self) -> Kind: ...

    def session(self, timeout: float) -> AbstractAsyncContextManager[PostgresSession]: ...

    async def replicate(self, encoding: str) -> LogicalReplicationConnection:
        """A connection of its own, with the client encoding given. Raises NotConnected."""
        ...
