"""While the disk is full the daemon does not end: flows, parked runs and its own events wait for room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from reactor.catalog import Catalog
from reactor.clock import SystemClock
from reactor.contracts.errors import StepFailed, StoreFull
from reactor.contracts.run import Status
from reactor.engine.pool import Pool
from reactor.memory import ActionMemory
from reactor.store.memory import MemoryStore
from reactor.testing.store_suite import accept, start
from tests.flows_help import KINDS

pytestmark = pytest.mark.anyio


class FullStore(MemoryStore):
    """Refuses these writes until there is room."""

    def __init__(self, *writes: str) -> None:
        super().__init__()
        self.refused = 0
        self.room = False
        for name in writes:
            setattr(self, name, self._refusing(getattr(self, name)))

    def _refusing(self, method: Any) -> Any:
        async def write(*arguments: Any, **named: Any) -> Any:
            if not self.room:
                self.refused += 1
                raise StoreFull("the disk is full", 0.01)
            return await method(*arguments, **named)

        return write


class Facts:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def observe(self, fact: str, **fields: Any) -> None:
        self.seen.append(fact)


async def test_flows_that_change_are_installed_when_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: []\n")
    store, facts = FullStore("save_plan"), Facts()
    catalog = Catalog([tmp_path], KINDS, store, SystemClock(), facts)
    await catalog.refresh()
    assert not catalog.flows.plans and "store.full" in facts.seen
    store.room = True
    await catalog.refresh()
    assert set(catalog.flows.plans) == {"one"}
    store.room = False
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: [{set: {a: 1}}]\n")
    before = catalog.flows.plans["one"].version
    await catalog.refresh()
    assert catalog.flows.plans["one"].version == before, "the last good version runs on"
    store.room = True
    await catalog.refresh()
    assert catalog.flows.plans["one"].version != before


async def test_a_run_that_cannot_go_on_is_parked_when_there_is_room() -> None:
    """Its flow's version is gone: that it waits for a person is written, however long there is no room for it."""
    store, facts = FullStore("append"), Facts()
    await accept(store, start())

    async def plan(version: str) -> None:
        return None

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            pool = Pool(group, store, SystemClock(), facts, plan, "owner")
            group.start_soon(pool.run)
            while store.refused < 3:
                await anyio.sleep(0.005)
            store.room = True
            while (record := await store.run("run_1")) is None or record.status is not Status.paused:
                await anyio.sleep(0.005)
            group.cancel_scope.cancel()
    assert record.error is not None and record.error["type"] == "plan.missing"
    assert "store.full" in facts.seen


async def test_what_an_action_keeps_fails_its_step_alone() -> None:
    memory = ActionMemory(FullStore("move"), "webhook.send")
    with pytest.raises(StepFailed) as caught:
        await memory.set("a", 1)
    assert caught.value.retryable
