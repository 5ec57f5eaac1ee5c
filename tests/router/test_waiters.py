"""Whoever waits for a run gets its answer, whichever daemon ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from reactor.contracts.event import Event
from reactor.contracts.run import Change, Status
from reactor.contracts.store import Effects
from reactor.contracts.trigger import Receipt
from reactor.engine import machine
from reactor.kit.clock import SystemClock, SystemIds
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.store.memory.store import MemoryStore
from reactor.testing.store_parts import joined
from tests.flows_help import plan

FLOW = "flow: f\nwhen: [{event: go}]\ndo:\n  - {call: log, with: {message: hi}}\n"
pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("answers", [False, True], ids=["ends", "answers"])
async def test_a_run_that_another_daemon_ends_is_answered_here(answers: bool) -> None:
    store = MemoryStore()
    here = await joined(store, "own_here")
    there = await joined(store, "own_there")
    engine: Any = SimpleNamespace(
        has_room=lambda: False, walks=lambda: True, shift=lambda: 0.0, drives=lambda run: False
    )
    facts: Any = SimpleNamespace(observe=lambda fact, **fields: None)
    flows = FlowSet([plan(FLOW)])
    preparer = Preparer(machine.MachineDecider(), SystemIds(), lambda: flows, engine, here, {})
    clock = SystemClock()
    inbox = Inbox(store, preparer, Settlement(engine, clock, facts), clock, facts)
    receipts: list[Receipt] = []

    async def ask() -> None:
        receipts.append(await inbox.emit("event", Event(type="go", source="s"), wait=10.0))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            (one,) = await store.claim(there, 1, 1e12)
            await store.append(one.claim, 0, Effects(change=Change(status=Status.running, at=1.0)))
            await anyio.wait_all_tasks_blocked()
            assert receipts == [], "it has no answer yet"
            status, response = (Status.running, {"status": 201}) if answers else (Status.succeeded, None)
            change = Change(status=status, at=2.0, output=None if answers else 5, response=response)
            await store.append(one.claim, 0, Effects(change=change))
    (receipt,) = receipts
    assert receipt.outcomes is not None
    (outcome,) = receipt.outcomes
    assert (outcome.run, outcome.status) == (one.record.id, status.value)
    assert (outcome.output, outcome.response) == (change.output, response)
