"""The daemon dies once, at each place around a write in turn, while runs with snapshots after each entry go on."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from reactor.engine import snapshot
from reactor.router.match import FlowSet
from tests.flows_help import documents
from tests.simulation import world as simulation
from tests.simulation.world import World

FLOWS = """
flow: waits
when: [{event: go.waits}]
vars: {n: 0, seen: []}
do:
  - while: vars.n < 4
    max: 5
    do:
      - parallel:
          a: [{id: x, call: log, with: {message: a}, retry: {times: 3, wait: 2s}, on_error: [{set: {y: 1}}]}, {wait: 2s}]
          b: [{wait: 1s}, {emit: step.note, data: 1}]
      - set: {n: "${{ vars.n + 1 }}", seen: "${{ vars.seen + [vars.n] }}"}
  - try: [{foreach: "${{ vars.seen }}", at_once: 2, do: [{wait: 1s}, {set: {z: "${{ item }}"}}]}]
    finally: [{wait: 1s}]
output: ${{ vars }}
"""


class OneDeath(World):
    """Dies at the place with a number, and nowhere else."""

    def __init__(self, place: int) -> None:
        super().__init__(1)
        self.place = place
        self.passed = 0
        self.bounds = (0,)
        self.plans = {d.plan.version: d.plan for d in documents(FLOWS) if d.plan is not None}
        self.flows = FlowSet(self.plans.values())

    async def maybe_crash(self, where: str) -> None:
        if where.split()[-1] in ("accept", "append"):
            self.passed += 1
            if self.passed == self.place:
                await self.crash(where)


def live(place: int) -> OneDeath:
    world = OneDeath(place)
    world.chaos = False

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.live)
            for _ in range(100):
                await trio.sleep(20)
                world.check_replay()
                rows = world.store._runs.values()
                if len(world.acknowledged) == simulation.EVENTS and all(row.record.status.ended for row in rows):
                    break
            nursery.cancel_scope.cancel()

    vars(trio._core._run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio._core._run._r.seed(place)
    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
    world.check_end()
    return world


def test_a_death_at_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "EVENTS", 1)
    monkeypatch.setattr(snapshot, "ENTRIES", 1)
    monkeypatch.setattr(snapshot, "BYTES_AN_ENTRY", 100_000)
    whole = live(0)
    assert whole.crashes == 0 and whole.passed > 20
    begun_with_one = 0
    for place in range(1, whole.passed + 1):
        world = live(place)
        assert world.crashes == 1
        begun_with_one += world.snapshots
    assert begun_with_one > whole.passed
