"""Bytes that a release has written or answered are those of every later one, whatever the engine calls things inside."""

from __future__ import annotations

import msgspec

from reactor.contracts.journal import (
    AnyEntry,
    Cancelled,
    Child,
    Ended,
    Failed,
    Paused,
    Resumed,
    Retried,
    Shifted,
    Started,
    TimedOut,
    Woke,
    decode_entries,
    encode_entries,
)
from reactor.contracts.run import Status
from reactor.contracts.signals import Cancel, ChildEnded, Message, Resume, Retry, message_of, signal_of
from reactor.contracts.store import Signal
from reactor.engine import machine
from reactor.engine.phases import RunPhase, StepPhase, StepStatus
from reactor.engine.step_tree import StepTree
from reactor.engine.steps.parallel import BranchState
from reactor.operations.steps import steps_of
from reactor.testing.replay import Play
from tests.flows_help import plan, stored

ENTRIES: list[tuple[AnyEntry, bytes]] = [
    (Started("do/0", 1.5), b'["s","do/0",1.5,1]'),
    (Ended("do/0", 2.0, {"a": [1]}), b'["e","do/0",2.0,{"a":[1]}]'),
    (Failed("do/0", 2.0, {"type": "x"}), b'["f","do/0",2.0,{"type":"x"}]'),
    (Woke("do/1", 3.0), b'["w","do/1",3.0]'),
    (TimedOut("", 3.0), b'["t","",3.0]'),
    (Child("do/2", 4.0, "run_2"), b'["c","do/2",4.0,"run_2"]'),
    (Cancelled("", 5.0, "why", "unless"), b'["x","",5.0,"why","unless"]'),
    (Paused("do/0", 6.0, {"type": "crashed"}), b'["p","do/0",6.0,{"type":"crashed"}]'),
    (Resumed("do/0", 7.0), b'["r","do/0",7.0]'),
    (Retried("", 8.0, 3), b'["a","",8.0,3]'),
    (Shifted("", 9.0, -2.5), b'["h","",9.0,-2.5]'),
]


def test_journal_entries() -> None:
    for entry, written in ENTRIES:
        assert encode_entries([entry]) == b"[" + written + b"]"
    whole = b"[" + b",".join(written for _, written in ENTRIES) + b"]"
    assert decode_entries(whole) == [entry for entry, _ in ENTRIES]


SIGNALS: list[tuple[Message, str, bytes]] = [
    (Cancel("the parent ended"), "cancel", b'{"reason":"the parent ended"}'),
    (Cancel("late", "unless"), "cancel", b'{"reason":"late","type":"unless"}'),
    (Cancel(), "cancel", b"{}"),
    (Resume(), "resume", b"{}"),
    (Retry(), "retry", b"{}"),
    (
        ChildEnded("do/0", "run_2", "f", Status.failed, None, {"type": "x"}),
        "child",
        b'{"path":"do/0","run":"run_2","flow":"f","status":"failed","output":null,"error":{"type":"x"}}',
    ),
]


def test_signals_in_the_store() -> None:
    for message, kind, body in SIGNALS:
        signal = signal_of("run_1", message)
        assert (signal.run, signal.kind, msgspec.json.encode(signal.body)) == ("run_1", kind, body)
        stored_signal = Signal(run="run_1", kind=kind, body=msgspec.json.decode(body), seq=3)
        assert message_of(stored_signal) == message
    assert message_of(Signal(run="run_1", kind="of a later release", body={"a": 1})) is None


def test_words_of_phases_and_states() -> None:
    assert [phase.value for phase in RunPhase] == ["do", "on_error", "finally", "ended"]
    assert " ".join(StepPhase) == "verb call child_start child emit queue wait retry handler finally paused"
    assert " ".join(StepStatus) == "running waiting paused skipped succeeded failed cancelled"
    assert " ".join(BranchState) == "pending running succeeded failed"
    assert msgspec.json.encode([*RunPhase, *StepPhase][:6]) == b'["do","on_error","finally","ended","verb","call"]'


FLOW = """
do:
  - set: {a: 1}
    only_if: [event.body.no == 1]
  - id: both
    parallel: {x: [{set: {b: 2}}], y: [{call: log, with: {message: hi}}, {wait: 1h}]}
    join: branches.x.status == "succeeded" and branches.y.status != "running"
output: ${{ vars }}
"""


def test_a_step_tree_as_it_is_answered() -> None:
    played = Play(plan(FLOW), stored({"no": 2}))
    tree = StepTree()
    machine.recover(played.plan, played.event, "run_1", "http", 1000.0, {}, played.bounds, [], tree=tree)
    first, both = (msgspec.json.encode(step) for step in steps_of(tree.roots))
    assert first == (
        b'{"path":"do/0","id":null,"name":null,"verb":"set","status":"skipped","attempts":1,'
        b'"started":"1970-01-01T00:16:40.000000Z","ended":"1970-01-01T00:16:40.000000Z","result":null,"error":null,"children":[]}'
    )
    words = [(node["path"], node["status"]) for node in msgspec.json.decode(both)["children"]]
    assert words == [("do/1/parallel/x/0", "succeeded"), ("do/1/parallel/y/0", "running")]


def test_expressions_see_plain_text_as_a_branchs_status() -> None:
    text = """
    do:
      - parallel: {x: [{set: {b: 2}}], y: [{set: {d: 3}}]}
        join: branches.x.status == "succeeded" and branches.y.status in ["pending", "running", "succeeded"]
      - id: no
        parallel: {x: [{set: {c: 2}}], z: [{fail: {type: a.b, message: no}}]}
        join: branches.x.status == "pending"
        on_error: [{set: {seen: "${{ error.details.branches }}"}}]
    output: ${{ vars.seen }}
    """
    run = Play(plan(text), stored()).play()
    assert run.status == "succeeded", run.error
    assert isinstance(run.output, dict)
    assert [(name, type(branch["status"]), branch["status"]) for name, branch in run.output.items()] == [
        ("x", str, "succeeded"), ("z", str, "failed"),
    ]  # fmt: skip
