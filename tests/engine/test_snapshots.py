"""Snapshots: when they are made, that they are bounded and exact, and that a journal means the same without them. (The
replay suite and the simulator hold each recovery from one against the live run.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reactor.contracts.errors import StepFailed
from reactor.contracts.journal import AnyEntry, Ended, Failed, Retried, Snapshot, Woke, decode_entries, encode_entries
from reactor.contracts.run import Status
from reactor.engine import machine, restore, snapshot
from reactor.engine.run_state import FORMAT
from reactor.engine.snapshot import written
from reactor.engine.state import Run
from reactor.engine.step_tree import StepTree
from reactor.operations.steps import steps_of
from reactor.testing.replay import Play, exactly, snapshot_of
from tests.engine.test_parked import turns
from tests.flows_help import begin, plan, stored

LOOP = """
do:
  - while: vars.n < 500
    max: 1000
    do:
      - wait: 1s
      - set: {n: "${{ vars.n + 1 }}"}
  - {id: a, call: log, with: {message: hi}}
vars: {n: 0}
output: ${{ [vars.n, steps.a] }}
"""


def recover(play: Play, entries: list[AnyEntry], tree: StepTree | None = None) -> Run:
    entries = decode_entries(encode_entries(entries))
    return machine.recover(play.plan, play.event, "run_1", "http", 1000.0, {}, play.bounds, entries, tree=tree)


def fold(run: Run, *entries: AnyEntry) -> None:
    for entry in entries:
        machine.fold(run, entry)
        while machine.walk(run):
            pass


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[AnyEntry]:
    """All entries that the machine folds."""
    seen: list[AnyEntry] = []
    real = machine.fold

    def count(run: Run, entry: AnyEntry) -> None:
        seen.append(entry)
        real(run, entry)

    monkeypatch.setattr(machine, "fold", count)
    return seen


def looped(count: int) -> tuple[Play, list[AnyEntry]]:
    """The loop after so many of its waits, with its journal."""
    play = Play(plan(LOOP), stored())
    entries: list[AnyEntry] = []
    for _ in range(count):
        entry = Woke(f"do/0/turns/{len(entries)}/0", 1001.0 + len(entries))
        fold(play.run, entry)
        entries.append(entry)
    return play, entries


def test_one_is_due_after_a_hundred_entries_or_ten_thousand_pure_steps() -> None:
    play, _ = looped(97)
    assert not snapshot.due(play.run)
    play, _ = looped(100)
    assert snapshot.due(play.run)
    assert snapshot.take(play.run) is not None
    assert not snapshot.due(play.run), "what came before the last one does not count"
    pure = "do: [{while: vars.n < %d, max: 20000, do: [{set: {n: '${{ vars.n + 1 }}'}}]}, {wait: 1s}]\nvars: {n: 0}"
    assert not snapshot.due(begin(pure % 4_000))
    assert snapshot.due(begin(pure % 10_000))


def test_recovery_begins_with_the_last_one(folded: list[AnyEntry]) -> None:
    play, entries = looped(120)
    taken = snapshot_of(play.run)
    assert taken is not None
    more: list[AnyEntry] = [Woke(f"do/0/turns/{n}/0", 1200.0 + n) for n in range(120, 130)]
    fold(play.run, *more)
    folded.clear()
    again = recover(play, [*entries, taken, *more])
    assert folded == more and exactly(again) == exactly(play.run)
    assert again.snapshots == 1 and exactly(recover(play, [*entries, *more])) == exactly(again)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: msgspec.structs.replace(one, version=FORMAT + 1),
        lambda one: msgspec.structs.replace(one, state=msgspec.Raw(b'{"of":"another shape"}')),
        lambda one: msgspec.structs.replace(one, state=msgspec.Raw(bytes(one.state).replace(b"turns/120", b"turns/7"))),
        lambda one: msgspec.structs.replace(one, state=msgspec.Raw(bytes(one.state).replace(b'"wait"', b'"later"'))),
    ],
    ids=["version", "shape", "place", "word"],
)  # fmt: skip
def test_one_that_cannot_be_read_is_passed_over(spoil: Callable[[Snapshot], Snapshot]) -> None:
    play, entries = looped(120)
    taken = snapshot_of(play.run)
    assert taken is not None
    other = spoil(taken)
    assert other != taken
    last = Woke("do/0/turns/120/0", 1200.0)
    fold(play.run, last)
    assert exactly(recover(play, [*entries, other, last])) == exactly(play.run)


def test_a_retry_by_a_person_forgets_those_behind_what_it_keeps(folded: list[AnyEntry]) -> None:
    text = """
    do:
      - {id: a, call: log, with: {message: 1}}
      - {id: b, call: log, with: {message: 1}}
      - {wait: 1s}
    finally: [{wait: 10s}]
    output: ${{ steps.b }}
    """
    play = Play(plan(text), stored())
    before: list[AnyEntry] = [Ended("do/0", 1001.0, 1)]
    fold(play.run, *before)
    early = snapshot_of(play.run)
    failed = Failed("do/1", 1002.0, StepFailed("x.y", "no").as_object())
    fold(play.run, failed)
    late = snapshot_of(play.run)
    assert early is not None and late is not None
    woke = Woke("finally/0", 1020.0)
    fold(play.run, woke)
    assert play.run.status is Status.failed and play.run.retry_point == 1
    retried = Retried("", 1030.0, 1)
    journal: list[AnyEntry] = [*before, early, failed, late, woke, retried]
    folded.clear()
    again = recover(play, journal)
    assert folded == [retried], "the first snapshot still stands"
    assert list(again.open) == ["do/1"]
    assert exactly(again) == exactly(recover(play, [*before, failed, woke, retried]))
    shown: Any = again.names["run"]
    assert shown["attempt"] == 2
    third = snapshot_of(again)
    assert third is not None
    folded.clear()
    last = Ended("do/1", 1031.0, 2)
    once_more = recover(play, [*journal, third, last])
    assert folded == [last] and list(once_more.timers) == [("do/2", "wake")]


def test_step_trees_are_drawn_from_the_whole_journal() -> None:
    play, entries = looped(30)
    taken = snapshot_of(play.run)
    assert taken is not None
    trees = StepTree(), StepTree()
    for tree, journal in zip(trees, (entries, [*entries, taken]), strict=True):
        recover(play, journal, tree)
    assert len(trees[0].roots[0].children) == 61
    assert steps_of(trees[0].roots) == steps_of(trees[1].roots)


def test_a_state_that_is_large_for_what_it_saves_gives_none() -> None:
    play, _ = looped(100)
    play.run.scope.vars["text"] = "x" * (snapshot.BYTES_AN_ENTRY * 120)
    assert snapshot.due(play.run) and snapshot.take(play.run) is None
    assert not snapshot.due(play.run), "it is not tried at each parking"
    entries: list[AnyEntry] = [Woke(f"do/0/turns/{n}/0", 1200.0 + n) for n in range(100, 199)]
    fold(play.run, *entries)
    assert not snapshot.due(play.run)
    fold(play.run, Woke("do/0/turns/199/0", 1400.0))
    taken = snapshot.take(play.run) if snapshot.due(play.run) else None
    assert taken is not None and len(taken.state) > snapshot.BYTES_AN_ENTRY * 120
    play.run.scope.vars["text"] = "x" * snapshot.MAX_BYTES
    play.run.snapshot_at = -1_000_000
    assert snapshot.due(play.run) and snapshot.take(play.run) is None, "there is a bound whatever it saves"


@pytest.mark.parametrize("value", [2**70, float("inf"), (1, 2), {1: 2}, "\ud83d", {"a": [b"x"]}], ids=repr)
def test_what_json_would_change_is_not_written(value: Any) -> None:
    play, _ = looped(1)
    assert written(play.run, 10**6) is not None
    play.run.scope.vars["odd"] = value
    assert written(play.run, 10**6) is None


def test_a_value_that_the_run_changes_in_place_is_not_written() -> None:
    play = Play(plan("do: [{set: {a: 1}}]\noutput: ${{ vars }}\nfinally: [{wait: 1s}]\n"), stored())
    assert play.run.output is play.run.scope.vars and written(play.run, 10**6) is None
    run = begin("do: [{set: {all: '${{ vars }}'}}, {wait: 1s}]\n")
    assert written(run, 10**6) is None, "it holds itself"


def test_numbers_and_texts_come_back_as_they_were() -> None:
    play, entries = looped(2)
    values = [1, 1.0, True, -0.0, 1e300, 5e-324, 2**63 - 1, -(2**63), "é\u2028😀", "", None, {"b": 1, "a": {}}, [[]]]
    play.run.scope.vars["odd"] = values
    taken = snapshot_of(play.run)
    assert taken is not None
    again = recover(play, [*entries, taken])
    odd: Any = again.scope.vars["odd"]
    assert [(type(one), repr(one)) for one in odd] == [(type(one), repr(one)) for one in values]
    assert list(odd[-2]) == ["b", "a"]


GOLDEN = (
    b'{"phase":"do","now":1001.0,"final":null,"output":null,"error":null,"response":null,"attempt":1,"effective":1,'
    b'"retry_point":null,"vars":{"n":1},"steps":{},"timers":[["do/0/turns/1/0","wake",1002.0]],"open":[],"paused":[],'
    b'"root":["do","",null,1,null,null,["verb",1,0,0,null,null,null,false,null,["count",2],'
    b'[["turns/1","",1,1,null,[true,[[],{}],true,true,{"index":1}],'
    b'["wait",1,0,0,null,null,null,false,null,null,[]]]]]]}'
)  # fmt: skip
"""What format 1 looks like. A release with another one gets another number, and leaves this alone."""


def test_a_snapshot_of_an_earlier_release_is_read() -> None:
    play, entries = looped(1)
    assert written(play.run, 10**6) == GOLDEN
    run = Run(play.plan, play.event, "run_1", "http", 1000.0, {}, play.bounds, [], None)
    restore.restore(run, Snapshot("", 1001.0, 1, msgspec.Raw(GOLDEN)))
    assert exactly(run) == exactly(play.run) == exactly(recover(play, entries))


def test_they_do_not_count_among_the_entries_that_a_run_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_ENTRIES", 200)
    world, _ = turns(0, monkeypatch)
    assert world.snapshots > 0
    for row in world.store._runs.values():
        assert row.record.status is Status.succeeded
        assert [index for index, entry in enumerate(row.entries) if isinstance(entry, Snapshot)] == [99, 199]
