"""Webhook receivers that answered 410: nothing is sent to them until someone switches them on again."""

from __future__ import annotations

from reactor.lending.action_memory import ActionMemory
from reactor.server import answers


class WebhookOperations:
    """`memory` is that of `webhook.send`: URLs, and since when they are off."""

    def __init__(self, memory: ActionMemory) -> None:
        self._memory = memory

    async def items(self) -> list[answers.Webhook]:
        return [answers.Webhook(url, at) for url, at in sorted((await self._memory.items()).items())]

    async def enable(self, url: str) -> bool:
        if url not in await self._memory.items():
            return False
        await self._memory.set(url, None)
        return True
