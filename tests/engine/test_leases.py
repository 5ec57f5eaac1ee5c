"""A pool renews the right to its runs in time, and gives them up when another has taken over."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from reactor.contracts.errors import StaleClaim
from reactor.contracts.facts import Fact
from reactor.contracts.lease import Lease
from reactor.contracts.plan import Plan
from reactor.engine.pool import LEASE, Pool
from reactor.engine.runner import Runner
from reactor.store.memory.store import MemoryStore
from reactor.testing.store_parts import accept, start
from tests.flows_help import plan

SLOW = "flow: f\nwhen: [{event: t}]\ndo:\n  - {call: log, with: {message: hi}}\n"
BESIDE = """
flow: f
when: [{event: t}]
do:
  - parallel:
      a: [{call: log, with: {message: a}}]
      b: [{call: log, with: {message: b}}]
"""
pytestmark = pytest.mark.anyio


class Clock:
    """Stands still; who sleeps goes on when the test says so."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.rung = anyio.Event()
        self.asked: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.rung.wait()

    def ring(self, seconds: float) -> None:
        self.time += seconds
        self.rung.set()
        self.rung = anyio.Event()


class Store(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.renewals: list[float] = []

    async def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        self.renewals.append(now)
        return await super().renew(lease, now, seconds)


class World:
    """A pool with one run, whose actions never end by themselves."""

    def __init__(self, group: Any, flow: str) -> None:
        self.clock, self.store = Clock(), Store()
        self.facts: list[tuple[str, Any]] = []
        self.acting = 0
        self.cancelled = 0
        self.plan = plan(flow)
        publisher: Any = SimpleNamespace(ended=lambda *fields: [])
        settler: Any = SimpleNamespace(settle=lambda prepared, accepted: None, told=lambda *fields: None)

        def runner(pool: Pool) -> Runner:
            return Runner(self.store, publisher, self, self.clock, self, settler)

        self.pool = Pool(group, self.store, self.clock, self, self.compiled, "own_a", runner)

    async def compiled(self, version: str) -> Plan | None:
        return self.plan

    def observe(self, fact: Fact) -> None:
        self.facts.append((fact.NAME, fact.shown().get("run")))

    async def perform(self, run: Any, frame: Any, deadline: float | None) -> Any:
        self.acting += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled += 1


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def begun(world: World, group: Any, actions: int = 1) -> None:
    await accept(world.store, start("run_1"))
    group.start_soon(world.pool.run)
    await until(lambda: world.acting == actions and bool(world.clock.asked))


async def test_a_lease_is_renewed_long_before_it_is_over(anyio_backend: str) -> None:
    async with anyio.create_task_group() as group:
        world = World(group, SLOW)
        await begun(world, group)
        assert world.clock.asked == [LEASE / 3]
        await world.store.join("own_b", 0.0, 1e12)
        for turn in range(1, 7):
            world.clock.ring(LEASE / 3)
            await until(lambda turn=turn: len(world.clock.asked) == turn + 1)  # type: ignore[misc]
            assert await world.store.claim("own_b", 10, world.clock.time) == []
        assert len(world.store.renewals) == 6 and world.acting == 1 and not world.cancelled
        group.cancel_scope.cancel()


@pytest.mark.parametrize(("flow", "actions"), [(SLOW, 1), (BESIDE, 2)], ids=["alone", "beside"])
async def test_runs_of_a_lost_lease_are_given_up_at_once(flow: str, actions: int, anyio_backend: str) -> None:
    """Their actions are stopped, nothing of them is written, and the pool goes on with other runs."""
    async with anyio.create_task_group() as group:
        world = World(group, flow)
        await begun(world, group, actions)
        await world.store.join("own_b", 0.0, 1e12)
        world.clock.time += LEASE
        (taken,) = await world.store.claim("own_b", 10, world.clock.time)
        entries = await world.store.read("run_1")
        world.clock.ring(0.0)
        await until(lambda: ("run.lost", "run_1") in world.facts)
        assert world.cancelled == actions and await world.store.read("run_1") == entries
        assert taken.record.next_seq == len(entries)
        await accept(world.store, start("run_2"), id="evt_2")
        await until(lambda: world.acting == 2 * actions)
        assert [row.owner for row in world.store._runs.values()] == ["own_b", "own_a"]
        group.cancel_scope.cancel()


async def test_nothing_is_begun_without_a_lease(anyio_backend: str) -> None:
    async with anyio.create_task_group() as group:
        world = World(group, SLOW)
        assert not world.pool.has_room()
        await world.pool.begin()
        assert world.pool.has_room()
        await world.store.join("own_b", 0.0, 1e12)
        assert await world.store.claim("own_b", 10, world.clock.time + LEASE) == []
        with pytest.raises(StaleClaim):
            await world.store.claim("own_a", 10, world.clock.time)
        await accept(world.store, start("run_1"))
        group.start_soon(world.pool.run)
        await until(lambda: world.acting == 1)
        group.cancel_scope.cancel()
