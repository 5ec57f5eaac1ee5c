"""Events, verdicts, and what becomes of an event that is sent."""

from __future__ import annotations

import msgspec

from reactor.contracts.trigger import RunRef
from reactor.contracts.verdicts import ShownVerdict, VerdictWord
from reactor.server.answers.shape import MaybeError, Moment, RunStatus, Shape


class Started(Shape):
    """A run that an event started or was added to."""

    id: str
    flow: str
    verdict: VerdictWord


class EventItem(Shape):
    """An event in a list."""

    id: str
    type: str
    source: str
    accepted: Moment
    time: Moment
    key: str | None
    subject: str | None
    depth: int
    cause: str | None
    invalid: str | None
    runs: list[Started]
    verdicts: list[ShownVerdict]


class Event(EventItem):
    """One event whole. `event` is it as expressions see it."""

    event: dict[str, object]


class EventPage(Shape):
    items: list[EventItem]
    next: str | None


class Why(Shape):
    """The verdict of each flow of now. `flows` is the hash of the set that the event was matched against."""

    event: str
    flows: str
    verdicts: list[ShownVerdict]


class Sent(Shape):
    """An event that was accepted, and its runs. Who waited and got no run is told why."""

    event: str
    runs: list[RunRef]
    detail: str | msgspec.UnsetType = msgspec.UNSET
    verdicts: list[ShownVerdict] | msgspec.UnsetType = msgspec.UNSET


class WaitedRun(Shape):
    id: str
    flow: str
    status: RunStatus
    output: object
    error: MaybeError


class Waited(Shape):
    """How the runs of an event ended."""

    event: str
    runs: list[WaitedRun]


class Refusal(Shape):
    status: int
    title: str
    detail: str


class RefusedItem(Shape):
    """An event of a batch that was not accepted."""

    error: Refusal
