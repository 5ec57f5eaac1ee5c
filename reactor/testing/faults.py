"""A store that refuses on purpose."""

from __future__ import annotations

import random
from typing import Any

from reactor.contracts.errors import StoreFull

WRITES = frozenset({
    "accept", "append", "join", "renew", "claim", "release", "hold", "let_go", "push", "take", "signal", "move",
    "save_plan", "prune",
})  # fmt: skip


class FaultyStore:
    """Wraps a store; with probability `refuse` a write is refused before anything happens, as by a full disk. What
    is refused must leave no trace, and the caller must be able to try again."""

    def __init__(self, inner: Any, seed: int, refuse: float = 0.2) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self._refuse = refuse
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in WRITES:
            return method

        async def write(*arguments: Any, **named: Any) -> Any:
            while True:
                try:
                    return await self._try(method, *arguments, **named)
                except StoreFull:
                    self.refused += 1

        return write

    async def _try(self, method: Any, *arguments: Any, **named: Any) -> Any:
        if self._random.random() < self._refuse:
            raise StoreFull("the disk is full", 0.0)
        return await method(*arguments, **named)
