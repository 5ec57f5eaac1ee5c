"""What actions keep between runs: items of a position in the store, named after the action."""

from __future__ import annotations

from typing import Any

from reactor.contracts.errors import Overloaded, StepFailed
from reactor.contracts.event import Cursor
from reactor.contracts.store import Journal


class ActionMemory:
    """Fulfils `reactor.contracts.action.Memory`."""

    def __init__(self, store: Journal, action: str) -> None:
        self._store = store
        self._source = f"action:{action}"

    async def get(self, name: str) -> object:
        return (await self._store.cursor(self._source)).get(name)

    async def set(self, name: str, value: object) -> None:
        try:
            await self._store.move([Cursor(self._source, name, value)])
        except Overloaded as error:
            raise StepFailed("data.store", f"not written: {error}", retryable=True) from None

    async def items(self) -> dict[str, Any]:
        return await self._store.cursor(self._source)
