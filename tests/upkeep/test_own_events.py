"""Events of the daemon's own, and work whose failure ends it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from reactor.contracts.errors import Overloaded, StoreFailed
from reactor.contracts.event import Event
from reactor.kit.clock import SystemClock
from reactor.router.match import FlowSet
from reactor.upkeep.guard import Guard
from reactor.upkeep.own_events import LOADED, OwnEvents
from tests.faults.test_full import Facts
from tests.flows_help import plan

pytestmark = pytest.mark.anyio
LISTENS = plan(f"flow: listens\nwhen: [{{event: {LOADED}}}]\ndo: []\n")
OTHER = plan("flow: other\nwhen: [manual]\ndo: []\n")


class FullInbox:
    """Has room at the third asking."""

    def __init__(self) -> None:
        self.asked = 0
        self.taken: list[Event] = []

    async def tell(self, type: str, source: str, data: Any) -> None:
        self.asked += 1
        if self.asked < 3:
            raise Overloaded("no room", 0.001)
        self.taken.append(Event(type=type, source=source, data=data))


def events(inbox: Any, stopping: bool = False) -> OwnEvents:
    return OwnEvents(inbox, SystemClock(), lambda: stopping)


async def test_new_flows_are_told_to_those_that_listen() -> None:
    made = events(FullInbox())
    assert made.of_flows(FlowSet([OTHER]), [OTHER]) == []
    (event,) = made.of_flows(FlowSet([OTHER, LISTENS]), [OTHER])
    assert (event.type, event.source, event.data["flow"]) == (LOADED, "/flows/other", "other")


async def test_they_wait_for_room_unless_the_daemon_stops() -> None:
    event = Event(type=LOADED, source="/flows/x")
    inbox = FullInbox()
    await events(inbox).tell([event])
    assert inbox.taken == [event] and inbox.asked == 3
    inbox = FullInbox()
    await events(inbox, stopping=True).tell([event])
    assert not inbox.taken and inbox.asked == 1


async def test_a_plugin_is_told_what_is_no_event() -> None:
    with pytest.raises(ValueError, match="that is no event"):
        await events(FullInbox()).publish({"type": 7})


async def test_a_store_that_fails_ends_the_daemon() -> None:
    stopping, facts = anyio.Event(), Facts()
    guard = Guard(stopping, facts)

    async def work() -> None:
        raise StoreFailed("the disk is gone")

    assert guard.is_healthy()
    await guard.run(work)
    assert stopping.is_set() and guard.failed == "the disk is gone" and not guard.is_healthy()
    assert facts.seen == ["daemon.failed"]
