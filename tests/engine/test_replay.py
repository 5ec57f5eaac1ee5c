"""Replay equality on random flows: after every fold, in any order of outcomes, recovery gives the live run."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.contracts.errors import StepFailed
from reactor.contracts.journal import (
    AnyEntry,
    Cancelled,
    Child,
    Ended,
    Failed,
    Paused,
    Resumed,
    Shifted,
    decode_entries,
)
from reactor.engine import machine
from reactor.engine.entries import due_entry, first_intentions, next_due
from reactor.engine.phases import StepPhase
from reactor.testing.replay import Play, fingerprint
from tests.flows_help import documents, plan, stored
from tests.simulation.generate import flows

GOLDEN = Path(__file__).parent / "golden"


def random_entry(play: Play, source: random.Random) -> AnyEntry | None:
    """One of the entries that could come next."""
    run = play.run
    choices: list[AnyEntry] = []
    play.now += source.random()
    for command in machine.commands(run):
        if source.random() < 0.3:
            choices.append(Failed(command.path, play.now, StepFailed("x.y", "no").as_object()))
        else:
            choices.append(Ended(command.path, play.now, source.randint(0, 9)))
    for path, frame in run.open.items():
        if frame.phase is StepPhase.child:
            choices.append(Ended(path, play.now, {"child": 1}))
        elif frame.phase is StepPhase.child_start:
            choices.append(Child(path, play.now, "run_child"))
        elif frame.phase is StepPhase.call and source.random() < 0.1:
            choices.append(Paused(path, play.now, StepFailed("crashed", "no").as_object()))
    choices += [Resumed(path, play.now) for path in run.paused]
    if not choices or source.random() < 0.3:
        due = next_due(run)
        if due is not None:
            play.now = max(play.now, due[0])
            timer = due_entry(run, play.now)
            if timer is not None:
                choices.append(timer)
    if source.random() < 0.01:
        choices = [Cancelled("", play.now, "by chance")]
    if source.random() < 0.02:
        choices = [Shifted("", play.now, source.uniform(0.0, 50.0))]
    return source.choice(choices) if choices else None


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_recovery_equals_the_live_run(seed: int) -> None:
    source = random.Random(seed)
    for document in documents(*flows(seed)):
        assert document.plan is not None
        play = Play(document.plan, stored({"x": source.randint(0, 5), "key": "k"}))
        for _ in range(200):
            if play.run.ended:
                break
            for intention in first_intentions(play.run):
                play.fold(intention)
            entry = random_entry(play, source)
            if entry is None:
                break
            play.fold(entry)
        if play.run.ended:
            assert not play.run.timers and not play.run.open and not play.run.ready
            assert play.run.status.ended


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_golden_journals_still_fold_to_the_same_run(name: str) -> None:
    """Journals that a release wrote must mean the same to every later one."""
    compiled = plan((GOLDEN / f"{name}.yaml").read_text())
    record = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    entries = decode_entries(msgspec.json.encode(record["entries"]))
    run = machine.recover(
        compiled, stored(record["data"]), "run_1", "http", 1000.0, {}, record.get("bounds", 1), entries
    )
    assert msgspec.json.decode(fingerprint(run)) == record["run"]
