"""What the checks of a store are made of: events, starts and changes with the fields that do not matter filled in."""

from __future__ import annotations

from typing import Any

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.run import Begun, Change, Start, Status
from reactor.contracts.store import Acceptance, Accepted, QueueMessage, Store

BIG = {"text": "x" * 200_000}
"""More than stands in a row."""
OWNER = "own_1"


def event(id: str = "evt_1", key: str | None = None, at: float = 100.0, data: Any = None) -> StoredEvent:
    return StoredEvent(id=id, event=Event(type="t", source="s", key=key, data=data), at=at, origin="event", flows="f")


def start(id: str = "run_1", flow: str = "f", **more: Any) -> Start:
    return Start(id=id, flow=flow, version="v1", trigger="event", at=100.0, **more)


def live(*entries: Any) -> Begun:
    """A start that its acceptor goes on with at once."""
    return Begun(entries=list(entries), change=Change(status=Status.running, at=100.0, started=100.0), live=object())


def over(output: Any = None, status: Status = Status.succeeded) -> Begun:
    return Begun(entries=[], change=Change(status=status, at=100.0, started=100.0, output=output))


async def joined(store: Store, owner: str = OWNER) -> str:
    """An owner whose lease lasts."""
    await store.join(owner, 0.0, 1e12)
    return owner


async def accept(store: Store, *starts: Start, **more: Any) -> Accepted:
    await joined(store)
    return await store.accept(Acceptance(event=event(**more), starts=list(starts), owner=OWNER))


def change(status: Status = Status.running, **more: Any) -> Change:
    return Change(status=status, at=200.0, **more)


def message(id: str, queue: str = "mails", data: Any = None) -> QueueMessage:
    return QueueMessage(id=id, queue=queue, data=data, at=100.0)
