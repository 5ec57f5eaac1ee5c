"""Drives the pure machine with scripted outcomes and checks at each fold that recovery gives the same run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from reactor.contracts.errors import ErrorObject, StepFailed
from reactor.contracts.event import StoredEvent
from reactor.contracts.journal import (
    AnyEntry,
    Cancelled,
    Child,
    Ended,
    Failed,
    Snapshot,
    decode_entries,
    encode_entries,
)
from reactor.contracts.plan import BOUNDS, Plan
from reactor.engine import machine
from reactor.engine.entries import due_entry, first_intentions, next_due
from reactor.engine.machine import find
from reactor.engine.phases import StepPhase
from reactor.engine.run_state import FORMAT
from reactor.engine.snapshot import MAX_BYTES, written
from reactor.engine.state import BlockFrame, Run, Scope, StepFrame
from reactor.engine.step_tree import StepTree
from reactor.engine.steps.foreach import Turns
from reactor.engine.steps.parallel import Progress

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


def exactly(run: Run) -> bytes:
    """A run with all that its future can depend on: orders, and which scopes share their variables. Frames stand for
    their place in the plan, so that both runs must have the same one."""
    numbers: dict[int, int] = {}

    def shared(values: dict[str, Any] | None) -> Any:
        if values is None or id(values) in numbers:
            return None if values is None else numbers[id(values)]
        numbers[id(values)] = len(numbers)
        return [numbers[id(values)], list(values.items())]

    def scope_of(scope: Scope) -> Any:
        names = sorted((name, value) for name, value in scope.names.items() if name not in ("vars", "steps"))
        if scope.names["vars"] is not scope.vars or scope.names["steps"] is not scope.steps:
            raise AssertionError("a scope shows other variables than it writes")
        kept = (scope.vars, scope.steps, scope.wrote_vars, scope.wrote_steps)
        return [names, *map(shared, kept)]

    def state_of(frame: StepFrame) -> Any:
        state = frame.state
        if frame.phase not in (StepPhase.verb, StepPhase.closing):
            return None
        if isinstance(state, Turns):
            return [state.items, state.keys, state.next, state.done, state.results, state.size]
        if isinstance(state, Progress):
            scopes = [(name, scope_of(scope)) for name, scope in sorted(state.scopes.items())]
            return [list(state.status.items()), list(state.results.items()), list(state.errors.items()), scopes]
        return state

    def block_of(block: BlockFrame) -> Any:
        step = block.current
        return [
            id(block.block), block.prefix, str(block.role), block.index, block.value, scope_of(block.scope),
            None if step is None else step_of(step),
        ]  # fmt: skip

    def step_of(frame: StepFrame) -> Any:
        children = [block_of(child) for child in frame.children if not child.dead]
        return [*_step(frame), frame.generation, id(frame.step), state_of(frame), children]

    data = [
        run.phase, run.status, run.final, run.output, run.error, run.response, run.now, run.started, run.effective,
        run.retry_point, list(run.open), list(run.paused), sorted(run.timers.items()), scope_of(run.scope),
        [block_of(run.root)] if run.root is not None and not run.ended else [],
        all(frame is find(run, path) for path, frame in [*run.open.items(), *run.paused.items()]),
    ]  # fmt: skip
    return msgspec.json.encode(data)


def _scope(scope: Scope) -> Any:
    return [scope.vars, scope.steps, scope.wrote_vars, scope.wrote_steps]


def _step(frame: StepFrame) -> Any:
    return [
        "step", frame.path, frame.phase, frame.attempt, frame.begun, frame.error, frame.handler, frame.rescued,
        frame.child, frame.deadline,
    ]  # fmt: skip


def snapshot_of(run: Run) -> Snapshot | None:
    """A snapshot whatever it saves; None for a run that has ended."""
    state = None if run.ended else written(run, MAX_BYTES)
    return None if state is None else Snapshot("", run.now, FORMAT, msgspec.Raw(state))


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
        self.journal: list[AnyEntry] = []
        """The same with snapshots between them."""
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
        self.journal.append(entry)
        self.check()
        if len(self.entries) % 3 == 0 and (snapshot := snapshot_of(self.run)) is not None:
            self.journal.append(snapshot)

    def check(self) -> None:
        entries = decode_entries(encode_entries(self.entries))
        for budget, tree in ((3, None), (10**9, StepTree())):
            again = machine.recover(
                self.plan, self.event, "run_1", "http", self.at, {}, self.bounds, entries, tree=tree, budget=budget
            )
            if fingerprint(again) != fingerprint(self.run):
                raise AssertionError(f"recovery differs:\n{fingerprint(self.run)!r}\n{fingerprint(again)!r}")
        self._check_snapshots()

    def _check_snapshots(self) -> None:
        """Recovery from the last snapshot, and from one that is taken now, gives the very run."""
        now = snapshot_of(self.run)
        for journal in (self.journal, self.journal if now is None else [*self.journal, now]):
            entries = decode_entries(encode_entries(journal))
            again = machine.recover(self.plan, self.event, "run_1", "http", self.at, {}, self.bounds, entries, budget=5)
            if exactly(again) != exactly(self.run):
                raise AssertionError(f"recovery differs:\n{exactly(self.run)!r}\n{exactly(again)!r}")

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
