"""Durable queues: how they stand, and pushing onto them."""

from __future__ import annotations

import hashlib

from reactor.contracts.clock import Clock
from reactor.contracts.facts import QueuePushed
from reactor.contracts.observe import Observer
from reactor.contracts.store import Store
from reactor.router.prepare import Preparer
from reactor.server import answers
from reactor.server.views import moment


class QueueOperations:
    def __init__(self, store: Store, preparer: Preparer, clock: Clock, observer: Observer) -> None:
        self._store = store
        self._preparer = preparer
        self._clock = clock
        self._observer = observer

    async def items(self) -> list[answers.Queue]:
        return [
            answers.Queue(one.name, one.waiting, one.active, moment(one.oldest)) for one in await self._store.queues()
        ]

    async def push(self, queue: str, data: object, key: str | None) -> str:
        message = self._preparer.message(queue, data, None, self._clock.now())
        if key is not None:
            message.id = "msg_" + hashlib.sha256(f"{queue}\0{key}".encode("utf-8", "replace")).hexdigest()[:32]
        await self._store.push([message])
        self._observer.observe(QueuePushed(queue=queue, message_id=message.id))
        return message.id
