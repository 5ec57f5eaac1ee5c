"""Events that the daemon sends by itself, or for a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from reactor.contracts.clock import Clock
from reactor.contracts.errors import Overloaded
from reactor.contracts.event import RESERVED_PREFIX, Event
from reactor.contracts.plan import Plan
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet

LOADED = f"{RESERVED_PREFIX}flow.loaded"


class OwnEvents:
    """`stopping` says whether the daemon ends: then what found no room is not told any more."""

    def __init__(self, inbox: Inbox, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._inbox = inbox
        self._clock = clock
        self._stopping = stopping

    def of_flows(self, flows: FlowSet, new: Sequence[Plan]) -> list[Event]:
        """What is told of new flows to those that listen for it."""
        if not flows.listens(LOADED):
            return []
        return [
            Event(
                type=LOADED,
                source=f"/flows/{plan.flow}",
                data={"flow": plan.flow, "version": plan.version, "file": plan.file},
            )
            for plan in new
        ]

    async def tell(self, events: Sequence[Event]) -> None:
        """Once there is room for them."""
        for event in events:
            while True:
                try:
                    await self._inbox.tell(event.type, event.source, event.data)
                    break
                except Overloaded as error:
                    if self._stopping():
                        return
                    await self._clock.sleep(error.retry_after)

    async def publish(self, given: Mapping[str, object]) -> dict[str, object]:
        """An event that a plugin sends by itself; its id, and how many runs it started. Raises ValueError, Refused,
        Overloaded."""
        try:
            event = msgspec.convert({"source": "plugin", **given}, Event)
        except msgspec.ValidationError as error:
            raise ValueError(f"that is no event: {error}") from None
        receipt = await self._inbox.emit("event", event)
        return {"event": receipt.event, "runs": len(receipt.runs)}
