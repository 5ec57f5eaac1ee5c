"""Connections: how they are, and trying one."""

from __future__ import annotations

from reactor.lending.connections import Connections
from reactor.server import answers


class ConnectionOperations:
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def items(self) -> list[answers.Connection]:
        return [
            answers.Connection(
                name=one.name, kind=one.kind, state=one.state, error=one.error, users=one.users, file=one.file
            )
            for one in self._connections.items()
        ]

    async def check(self, name: str) -> str | None:
        return await self._connections.check(name)
