"""All that triggers and actions borrow."""

from __future__ import annotations

from dataclasses import dataclass

from reactor.contracts.store import Store
from reactor.lending.action_memory import ActionMemory
from reactor.lending.clients import SharedClients
from reactor.lending.collections import StoreCollections
from reactor.lending.connections import Connections


@dataclass(frozen=True, slots=True)
class Lending:
    store: Store
    connections: Connections
    collections: StoreCollections
    clients: SharedClients

    def memory(self, action: str) -> ActionMemory:
        """What the action keeps between runs."""
        return ActionMemory(self.store, action)

    async def close(self) -> None:
        await self.connections.close()
        await self.clients.close()
