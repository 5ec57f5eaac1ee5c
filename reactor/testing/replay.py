"""Drives the pure machine with scripted outcomes and checks at each fold that recovery gives the same run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from reactor.contracts.errors import ErrorObject, StepFailed
from reactor.contracts.event import StoredEvent
from reactor.contracts.journal import AnyEntry, Cancelled, Child, Ended, Failed, decode_entries, encode_entries
from reactor.contracts.plan import BOUNDS, Plan
from reactor.engine import machine
from reactor.engine.entries import due_entry, first_intentions, next_due
from reactor.engine.phases import StepPhase
from reactor.engine.state import BlockFrame, Run, Scope, StepFrame
from reactor.engine.step_tree import StepTree

Script = Callable[[str, Any, int], Any]
"""From the step's id (or path), the rendered `with` and the attempt to a result; raise StepFailed to fail."""


def fingerprint(run: Run) -> bytes:
    """Everything that a run is, in bytes: two runs with equal fingerprints go on alike."""
    frames = []
    stack: list[BlockFrame] = [run.root] if run.root is not None else []
    while stack:
        block = stack.pop()
        if block.dead:
            continue
        frames.append(["block", block.prefix, block.index, block.value, _scope(block.scope)])
        if block.current is not None:
            frames.append(_step(block.current))
            stack.extend(block.current.children)
    data = {
        "phase": run.phase,
        "status": machine.status(run),
        "final": run.final,
        "output": run.output,
        "error": run.error,
        "response": run.response,
        "now": run.now,
        "open": sorted(run.open),
        "timers": sorted([*key, due] for key, due in run.timers.items()),
        "paused": sorted(run.paused),
        "retry_point": run.retry_point,
        "frames": frames,
    }
    return msgspec.json.encode(data, order="sorted")


def _scope(scope: Scope) -> Any:
    return [scope.vars, scope.steps, scope.wrote_vars, scope.wrote_steps]


def _step(frame: StepFrame) -> Any:
    return [
        "step", frame.path, frame.phase, frame.attempt, frame.begun, frame.error, frame.handler, frame.rescued,
        frame.child, frame.deadline,
    ]  # fmt: skip


class Play:
    """A run that is driven by hand. After each fold, `recover` is held against the live run, with another budget
    and with a pen in hand."""

    def __init__(
        self,
        plan: Plan,
        event: StoredEvent,
        script: Script | None = None,
        at: float = 1000.0,
        bounds: int = BOUNDS,
    ) -> None:
        self.plan = plan
        self.event = event
        self.script = script or (lambda id, given, attempt: None)
        self.entries: list[AnyEntry] = []
        self.performed: list[str] = []
        self.children: dict[str, str] = {}
        self.now = at
        self.at = at
        self.bounds = bounds
        self.run = machine.begin(plan, event, "run_1", "http", at, {}, bounds)
        self._walk()
        self.check()

    def _walk(self) -> None:
        while machine.walk(self.run, 7):
            pass

    def fold(self, entry: AnyEntry) -> None:
        machine.fold(self.run, entry)
        self._walk()
        self.entries.append(entry)
        self.check()

    def check(self) -> None:
        entries = decode_entries(encode_entries(self.entries))
        for budget, tree in ((3, None), (10**9, StepTree())):
            again = machine.recover(
                self.plan, self.event, "run_1", "http", self.at, {}, self.bounds, entries, tree=tree, budget=budget
            )
            if fingerprint(again) != fingerprint(self.run):
                raise AssertionError(f"recovery differs:\n{fingerprint(self.run)!r}\n{fingerprint(again)!r}")

    def step(self) -> bool:
        """Performs the first open command, or lets the next timer come due; False when nothing is left."""
        if self.run.ended:
            return False
        open_commands = machine.commands(self.run)
        if open_commands:
            command = open_commands[0]
            for entry in first_intentions(self.run):
                self.fold(entry)
            self.fold(self._outcome(command))
            return True
        due = next_due(self.run)
        if due is None:
            return False
        self.now = max(self.now, due[0])
        timer = due_entry(self.run, self.now)
        assert timer is not None
        self.fold(timer)
        return True

    def _outcome(self, command: machine.Command) -> AnyEntry:
        frame = command.frame
        name = frame.step.id or frame.path
        self.performed.append(name)
        self.now += 0.001
        try:
            if command.kind is StepPhase.child_start:
                return Child(frame.path, self.now, f"run_child_{len(self.performed)}")
            if command.kind is StepPhase.emit:
                frame.step.body.type.render(frame.scope.names)
                return Ended(frame.path, self.now, {"event": f"evt_{len(self.performed)}"})
            if command.kind is StepPhase.queue:
                frame.step.body.name.render(frame.scope.names)
                return Ended(frame.path, self.now, {"message": f"msg_{len(self.performed)}"})
            given = frame.step.body.arguments.render({**frame.scope.names, "secrets": {}})
            return Ended(frame.path, self.now, self.script(name, given, frame.attempt))
        except StepFailed as error:
            return Failed(frame.path, self.now, error.as_object())

    def play(self, limit: int = 10_000) -> Run:
        """Until the run ends, or nothing but a person or a child could go on with it."""
        for _ in range(limit):
            if not self.step():
                return self.run
        raise AssertionError("the run never comes to rest")

    def cancel(self, reason: str = "") -> None:
        self.fold(Cancelled("", self.now, reason))


def error_of(run: Run) -> ErrorObject:
    if run.error is None:
        raise AssertionError(f"the run has no error; it is {run.status}")
    return run.error
