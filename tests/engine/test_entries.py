"""Which entries follow from timers, signals and open effects, without a daemon."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.contracts.journal import (
    AnyEntry,
    Cancelled,
    Child,
    Ended,
    Failed,
    Paused,
    Resumed,
    Started,
    TimedOut,
    Woke,
)
from reactor.contracts.plan import BOUNDS
from reactor.contracts.store import Signal
from reactor.engine import machine
from reactor.engine.entries import MAX_CRASHES, due_entry, first_intentions, intentions, next_due, of_signal
from reactor.engine.state import Run
from tests.flows_help import begin, documents, stored

CALLS = """
flow: calls
when: [{http: {path: /x}}]
do:
  - parallel:
      a: [{call: log, with: {message: a}, repeat: safe}]
      b: [{call: log, with: {message: b}, repeat: keyed}]
      c: [{call: log, with: {message: c}, repeat: never}]
"""
PARENT = "flow: parent\nwhen: [{http: {path: /x}}]\ndo: [{run: one}]"
A, B, C = (f"do/0/parallel/{name}/0" for name in "abc")


def run_of(steps: str) -> Run:
    return begin(f"flow: one\nwhen: [{{http: {{path: /x}}}}]\ndo: {steps}\n")


def fold(run: Run, *entries: AnyEntry) -> None:
    for entry in entries:
        machine.fold(run, entry)
        while machine.walk(run):
            pass


def test_the_first_intention_of_what_is_safe_is_not_written() -> None:
    run = begin(CALLS)
    assert first_intentions(run) == [Started(B, 1000.0), Started(C, 1000.0)]
    assert intentions(run, 1001.0, own=(), recovered=False) == [Started(B, 1001.0), Started(C, 1001.0)]
    assert intentions(run, 1001.0, own={B}, recovered=False) == [Started(C, 1001.0)]
    fold(run, *first_intentions(run))
    assert first_intentions(run) == []


def test_what_is_safe_is_written_once_a_process_may_have_ended_in_it() -> None:
    run = begin(CALLS)
    assert [entry.path for entry in intentions(run, 1001.0, own=(), recovered=True)] == [A, B, C]


def test_an_intention_that_a_crash_left_is_written_again_or_left_to_a_person() -> None:
    run = begin(CALLS)
    fold(run, *first_intentions(run))
    again = intentions(run, 1001.0, own=(), recovered=True)
    assert [(type(entry), entry.path) for entry in again] == [(Started, A), (Started, B), (Paused, C)]
    assert isinstance(again[2], Paused) and "never repeated" in again[2].error["message"]
    for _ in range(MAX_CRASHES - 1):
        fold(run, Started(B, 1001.0))
    last = next(entry for entry in intentions(run, 1002.0, own=(), recovered=True) if entry.path == B)
    assert isinstance(last, Paused) and last.error["type"] == "crashed" and "3 times" in last.error["message"]
    assert intentions(run, 1002.0, own={A, B, C}, recovered=True) == []


def test_the_earliest_timer_gives_the_entry() -> None:
    run = run_of("[{parallel: {a: [{wait: 20s}], b: [{wait: 1h, timeout: 5s}]}}]")
    assert next_due(run) == (1005.0, "do/0/parallel/b/0", "deadline")
    assert due_entry(run, 1004.9) is None
    assert due_entry(run, 1006.0) == TimedOut("do/0/parallel/b/0", 1006.0)
    run = run_of("[{wait: 20s}]")
    assert due_entry(run, 1020.0) == Woke("do/0", 1020.0)


def test_a_moment_is_due_by_the_wall_clock_alone() -> None:
    run = run_of("[{wait: {at: 1100}}]")
    assert next_due(run) == (1100.0, "do/0", "until")
    assert due_entry(run, 2000.0, wall=1099.0) is None
    assert due_entry(run, 900.0, wall=1100.0) == Woke("do/0", 1000.0), "the run's own time never goes back"


def test_a_cancellation_carries_its_reason() -> None:
    run = run_of("[{wait: 20s}]")
    assert of_signal(run, Signal(run="run_1", kind="cancel"), 1.0) == [Cancelled("", 1.0)]
    signal = Signal(run="run_1", kind="cancel", body={"reason": "why", "type": "unless"})
    assert of_signal(run, signal, 1.0) == [Cancelled("", 1.0, "why", "unless")]
    assert of_signal(run, Signal(run="run_1", kind="retry"), 1.0) == []


def test_resuming_is_an_entry_for_each_step_that_is_paused() -> None:
    run = begin(CALLS)
    resume = Signal(run="run_1", kind="resume")
    assert of_signal(run, resume, 1.0) == []
    for path in (A, C):
        fold(run, Paused(path, 1001.0, {"type": "crashed", "message": ""}))
    assert of_signal(run, resume, 1.0) == [Resumed(A, 1.0), Resumed(C, 1.0)]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_childs_end_is_its_steps(status: str) -> None:
    parent, _ = documents(PARENT, "flow: one\ndo: [{stop: success}]")
    assert parent.plan is not None
    run = machine.begin(parent.plan, stored(), "run_1", "http", 1000.0, {}, BOUNDS)
    machine.walk(run)
    body: dict[str, Any] = {
        "path": "do/0",
        "run": "run_2",
        "flow": "one",
        "status": status,
        "output": 7,
        "error": None,
    }
    if status == "failed":
        body["error"] = {"type": "x.y", "message": "no"}
    signal = Signal(run="run_1", kind="child", body=body)
    assert of_signal(run, signal, 1.0) == [], "it is not started yet"
    fold(run, Child("do/0", 1001.0, "run_3"))
    assert of_signal(run, signal, 1.0) == [], "it is another one"
    body["run"] = "run_3"
    (entry,) = of_signal(run, signal, 1.0)
    if status == "succeeded":
        assert entry == Ended("do/0", 1.0, 7)
    else:
        assert isinstance(entry, Failed) and entry.error["type"] == "flow.failed"
        assert entry.error["message"] == "the flow one " + ("failed: no" if status == "failed" else status)
        assert entry.error["details"]["error"] == body["error"]
