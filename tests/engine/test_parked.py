"""Runs that wait are kept in memory within a bound, and a loop of waits does not fold its journal at each turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from reactor.contracts.journal import Woke
from reactor.contracts.run import Change, Status
from reactor.contracts.store import Claim, Effects
from reactor.engine.parked import BASE, BOUND, Parked, weight
from reactor.engine.pool import Pool
from reactor.router.match import FlowSet
from reactor.store.memory.store import MemoryStore
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import accept, joined, start
from tests.daemon import Daemon
from tests.flows_help import begin, documents
from tests.simulation.world import EVENTS, World

LOOP = """
flow: loop
when: [{event: go.loop}]
vars: {n: 0, text: "${{ event.data.key }}"}
do:
  - while: vars.n < 200
    max: 1000
    do:
      - wait: 1s
      - set: {n: "${{ vars.n + 1 }}"}
output: ${{ vars.n }}
"""


def turns(bound: int, monkeypatch: pytest.MonkeyPatch) -> tuple[World, int]:
    """A daemon on a virtual clock performs the loop for each event; with the number of entries that were folded."""
    folded = 0
    real = Pool._fold

    async def fold(self: Pool, plan: Any, claimed: Any, at: float, entries: list[Any]) -> Any:
        nonlocal folded
        folded += len(entries)
        return await real(self, plan, claimed, at, entries)

    monkeypatch.setattr(Pool, "_fold", fold)
    world = World(1)
    world.chaos = False
    world.bounds = (bound,)
    world.plans = {d.plan.version: d.plan for d in documents(LOOP) if d.plan is not None}
    world.flows = FlowSet(world.plans.values())

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.live)
            while True:
                await trio.sleep(20)
                rows = world.store._runs.values()
                if len(rows) == EVENTS and all(row.record.status.ended for row in rows):
                    nursery.cancel_scope.cancel()
                    return

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
    world.check_end()
    return world, folded


def test_a_loop_of_waits_folds_its_journal_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world, folded = turns(BOUND, monkeypatch)
    assert folded == 0, "the first wake folds an empty journal, the others none"
    assert world.parked >= EVENTS * 190


def test_without_room_everything_is_folded_and_ends_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    world, folded = turns(0, monkeypatch)
    assert world.parked == 0 and folded >= EVENTS * 190 * 100
    assert {row.record.output for row in world.store._runs.values()} == {200}


def run(id: str, size: int) -> Any:
    made = begin(LOOP.replace("go.loop", "go.x"), {"key": "k" * size})
    made.id = id
    return made


def test_the_bound_is_kept_and_the_oldest_go_first() -> None:
    small = weight(run("a", 10))
    assert weight(run("a", 100_000)) > small + 400_000
    parked = Parked(10 * small)
    for number in range(30):
        parked.keep(run(f"run_{number}", 10), 1)
        assert parked.size <= 10 * small
    assert list(parked.seqs) == [f"run_{number}" for number in range(20, 30)]
    parked.keep(run("large", 10 * small), 1)
    assert "large" not in parked.seqs and len(parked.seqs) == 10
    for id in list(parked.seqs):
        parked.drop(id)
    assert parked.size == 0 and not parked.seqs


def test_a_run_is_taken_once_and_only_as_its_journal_is() -> None:
    parked = Parked()
    parked.keep(run("a", 1), 3)
    assert parked.take("a", 4) is None, "somebody wrote meanwhile"
    assert parked.take("a", 3) is None, "what is stale is not kept"
    parked.keep(run("a", 1), 3)
    assert parked.take("a", 3) is not None
    assert parked.take("a", 3) is None
    assert weight(run("a", 1)) > BASE


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "anyio_backend"), [("memory", "asyncio"), ("memory", "trio"), ("sqlite", "asyncio")])
async def test_a_claim_reads_no_entries_of_what_is_held(kind: str, tmp_path: Path, anyio_backend: str) -> None:
    store: Any = MemoryStore() if kind == "memory" else SqliteStore(tmp_path, floor=0)
    await store.open()
    try:
        await accept(store, start("run_1"))
        (one,) = await store.claim(await joined(store, "own_1"), 10, 1e9)
        waiting = Change(status=Status.waiting, at=200.0, wake=300.0, started=100.0, release=True)
        await store.append(one.claim, 0, Effects(change=waiting, entries=[Woke("do/0", 200.0)]))
        held = {"run_1": 1}
        store.held(held)
        (again,) = await store.claim("own_1", 10, 300.0)
        assert again.entries is None and again.record.next_seq == 1
        assert await store.read("run_1") == [Woke("do/0", 200.0)]
        await store.append(
            Claim("run_1", "own_1", again.claim.token), 1, Effects(change=waiting, entries=[Woke("do/0", 300.0)])
        )
        (stale,) = await store.claim("own_1", 10, 300.0)
        assert stale.entries == [Woke("do/0", 200.0), Woke("do/0", 300.0)], "held as it was an entry ago"
    finally:
        await store.close()


def test_a_daemon_goes_on_with_loops_through_a_restart(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    text = LOOP.replace("event: go.loop", "http: {path: /loop}").replace("event.data.key", "event.body.key")
    daemon.flow("loop.yaml", text.replace("wait: 1s", "wait: 5ms"))
    with daemon:
        runs = [daemon.post("/hooks/loop", {"key": str(n)}).json["runs"][0]["id"] for n in range(5)]
        daemon.kill()
        daemon.start()
        for id in runs:
            assert daemon.wait_run(id)["output"] == 200
