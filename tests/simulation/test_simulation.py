"""Seeds hold; each planted bug is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reactor.contracts.journal import Ended, Started
from reactor.contracts.store import Accepted
from reactor.engine import machine, policy, snapshot
from reactor.engine.parked import Parked
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.engine.steps.parallel import Parallel
from reactor.router.inbox import Inbox
from reactor.store.memory.store import MemoryStore
from reactor.store.owners import Owners
from tests.simulation.world import run_seed

SEEDS = int(os.environ.get("REACTOR_TEST_SEEDS", "300"))
HUNT = 150
"""Seeds that a planted bug has to be found in."""


@pytest.mark.limit(120 + SEEDS)
@pytest.mark.parametrize("part", range(10))
def test_seeds_hold(part: int) -> None:
    crashes = parked = snapshots = 0
    for seed in range(part, SEEDS, 10):
        world = run_seed(seed)
        crashes += world.crashes
        parked += world.parked
        snapshots += world.snapshots
    assert crashes > 0 and parked > 0 and snapshots > 0


def test_a_seed_reproduces_exactly_under_another_hash_seed() -> None:
    outputs = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "11"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(done.stdout.rpartition("\n1 seeds")[0])
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) > 20


Patch = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, Patch] = {}


def bug(function: Patch) -> Patch:
    BUGS[function.__name__] = function
    return function


@bug
def acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    real = MemoryStore.accept
    count = [0]

    async def accept(self: MemoryStore, acceptance: Any) -> Any:
        count[0] += 1
        if count[0] % 5 == 0:
            return Accepted(event=acceptance.event.id, outcomes=[])
        return await real(self, acceptance)

    patch.setattr(MemoryStore, "accept", accept)


@bug
def a_stopped_source_forgets_what_it_stored(patch: pytest.MonkeyPatch) -> None:
    real = Inbox.commit

    async def commit(self: Inbox, prepared: Any, wait: float | None = None, shield: bool = True) -> Any:
        return await real(self, prepared, wait, False)

    patch.setattr(Inbox, "commit", commit)


@bug
def a_lost_wake_up(patch: pytest.MonkeyPatch) -> None:
    def signal(self: MemoryStore, row: Any, signal: Any) -> None:
        row.signal_seq += 1
        row.signals.append(msgspec.structs.replace(signal, seq=row.signal_seq))

    patch.setattr(MemoryStore, "_signal", signal)


@bug
def a_step_runs_after_its_result(patch: pytest.MonkeyPatch) -> None:
    real = machine.effective_entries

    def forgetful(entries: Any) -> Any:
        kept, snapshots = real(entries)
        return (kept[:-1] if kept and isinstance(kept[-1], Ended) else kept), snapshots

    patch.setattr(machine, "effective_entries", forgetful)


@bug
def an_identity_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = MemoryStore._accept

    def accept(self: MemoryStore, acceptance: Any) -> Any:
        self._identities.clear()
        return real(self, acceptance)

    patch.setattr(MemoryStore, "_accept", accept)


@bug
def an_action_without_its_intention(patch: pytest.MonkeyPatch) -> None:
    real = Runner._intend

    def intend(self: Runner, live: Any) -> None:
        real(self, live)
        live.pending = [entry for entry in live.pending if not isinstance(entry, Started)]

    patch.setattr(Runner, "_intend", intend)


@bug
def claims_of_the_dead_are_kept(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: MemoryStore) -> None:
        return None

    patch.setattr(MemoryStore, "open", nothing)
    patch.setattr(Owners, "take_over", lambda self, now, owner: set())


@bug
def a_timer_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    real = machine.change

    def change(run: Any, release: bool = False) -> Any:
        made = real(run, release)
        made.wake = None
        return made

    patch.setattr(machine, "change", change)


@bug
def one_attempt_too_few(patch: pytest.MonkeyPatch) -> None:
    real = Pool._fold

    async def fold(self: Pool, plan: Any, claimed: Any, at: float, entries: list[Any]) -> Any:
        run = await real(self, plan, claimed, at, entries)
        for frame in run.open.values():
            frame.attempt += 1
        return run

    patch.setattr(Pool, "_fold", fold)


@bug
def a_run_kept_in_memory_is_not_its_journal(patch: pytest.MonkeyPatch) -> None:
    real = Parked.keep

    def keep(self: Parked, run: Any, seq: int) -> None:
        run.scope.vars["n"] = -1
        real(self, run, seq)

    patch.setattr(Parked, "keep", keep)


@bug
def a_snapshot_stands_in_front_of_what_it_sums_up(patch: pytest.MonkeyPatch) -> None:
    real = Runner._append

    async def append(self: Runner, live: Any, release: bool) -> None:
        if release and live.pending and not live.run.ended and snapshot.due(live.run):
            taken = snapshot.take(live.run)
            if taken is not None:
                live.pending.insert(0, msgspec.structs.replace(taken, at=live.pending[0].at))
        await real(self, live, release)

    patch.setattr(Runner, "_append", append)


@bug
def a_snapshot_forgets_an_attempt(patch: pytest.MonkeyPatch) -> None:
    real = snapshot._Writer._step

    def step(self: Any, frame: Any) -> Any:
        return msgspec.structs.replace(real(self, frame), attempt=1)

    patch.setattr(snapshot._Writer, "_step", step)


@bug
def slots_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryStore, "_slots", lambda self, flow, key: ([], []))


@bug
def a_branch_loses_what_it_wrote(patch: pytest.MonkeyPatch) -> None:
    real = Parallel._join

    def join(self: Parallel, run: Any, frame: Any, block: Any, error: Any = None) -> Any:
        if run.trigger != "x":
            frame.state.scopes[block.role].wrote_vars = {}
        return real(self, run, frame, block, error)

    patch.setattr(Parallel, "_join", join)


@bug
def a_childs_end_is_told_to_nobody(patch: pytest.MonkeyPatch) -> None:
    def after_end(self: MemoryStore, row: Any) -> None:
        if row.concurrency_key is not None:
            self._promote(row.record.flow, row.concurrency_key, row.record.ended or 0.0)

    patch.setattr(MemoryStore, "_after_end", after_end)


@bug
def a_clock_that_was_set_is_not_written(patch: pytest.MonkeyPatch) -> None:
    real = Runner.follow_clock

    def follow(self: Runner, live: Any) -> bool:
        pending = list(live.pending)
        followed = real(self, live)
        live.pending = pending
        return followed

    patch.setattr(Runner, "follow_clock", follow)


@bug
def a_run_that_takes_the_daemon_down_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    real = MemoryStore.open

    async def forget(self: MemoryStore) -> None:
        await real(self)
        for row in self._runs.values():
            row.lost = 0

    patch.setattr(MemoryStore, "open", forget)


@bug
def a_poisoned_event_is_walked_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pool, "walks", lambda self: True)


@bug
def a_budget_that_skips_a_step(patch: pytest.MonkeyPatch) -> None:
    real = policy.advance

    def advance(run: Any, block: Any) -> None:
        if run.left == 1 and block.index < len(block.block.steps):
            block.index += 1
        real(run, block)

    patch.setattr(policy, "advance", advance)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    for seed in range(HUNT):
        try:
            run_seed(seed)
        except AssertionError:
            return
        except Exception as error:
            assert type(error).__module__.startswith("reactor") or isinstance(error, (LookupError, TypeError)), error
            return
    raise AssertionError(f"{name} was not found in {HUNT} seeds")
