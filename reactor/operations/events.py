"""Events and dead letters: sending, reading, why."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.store import Runs
from reactor.contracts.trigger import Receipt
from reactor.contracts.verdicts import shown_verdict
from reactor.router.explain import explain
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.server import answers
from reactor.server.views import event_item


class EventOperations:
    """`flows` gives the present set."""

    def __init__(self, store: Runs, inbox: Inbox, flows: Callable[[], FlowSet]) -> None:
        self._store = store
        self._flows = flows
        self._inbox = inbox

    async def ids(self, prefix: str, limit: int) -> list[str]:
        return await self._store.ids(prefix, limit)

    async def emit(self, origin: str, event: Event, wait: float | None) -> Receipt:
        return await self._inbox.emit(origin, event, wait)

    async def page(self, cursor: str | None, limit: int, type: str | None) -> answers.EventPage:
        page = await self._store.events(cursor, limit, type)
        return answers.EventPage([event_item(stored) for stored in page.items], page.next)

    async def event(self, id: str) -> StoredEvent | None:
        return await self._store.event(id)

    def why(self, stored: StoredEvent) -> answers.Why:
        verdicts = explain(self._flows(), stored)
        return answers.Why(stored.id, stored.flows, [shown_verdict(verdict) for verdict in verdicts])


class DeadLetterOperations:
    def __init__(self, store: Runs, inbox: Inbox) -> None:
        self._store = store
        self._inbox = inbox

    async def ids(self, prefix: str, limit: int) -> list[str]:
        return await self._store.ids(prefix, limit)

    async def page(self, cursor: str | None, limit: int) -> answers.EventPage:
        page = await self._store.events(cursor, limit, invalid=True)
        return answers.EventPage([event_item(stored) for stored in page.items], page.next)

    async def letter(self, id: str) -> StoredEvent | None:
        stored = await self._store.event(id)
        return stored if stored is not None and stored.invalid is not None else None

    async def replay(self, stored: StoredEvent, data: object) -> Receipt:
        again = msgspec.structs.replace(stored.event, data=data, invalid=None, key=f"replay of {stored.id}")
        return await self._inbox.emit(stored.origin, again)
