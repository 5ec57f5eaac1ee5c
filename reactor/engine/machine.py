"""The pure machine: begin, walk, fold, commands, recover.

Rules: nothing here reads a clock, randomness or the outside. No entry is folded and no command performed before
`walk` says that it is quiet; of entries that arrive together each is followed by a walk until quiet. Then
`recover(entries)` is the live run, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reactor.contracts.errors import Diverged, StepFailed
from reactor.contracts.event import StoredEvent
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
    Snapshot,
    Started,
    TimedOut,
    Woke,
)
from reactor.contracts.plan import Plan
from reactor.contracts.run import Begun, Change, Status
from reactor.engine import ending, policy
from reactor.engine.entries import first_intentions
from reactor.engine.phases import ANSWERABLE, CALL, PERFORMABLE, StepPhase, StepStatus
from reactor.engine.restore import Unreadable, restore
from reactor.engine.state import Run, StepFrame, push
from reactor.engine.step_tree import StepTree

PREFIX_STEPS = 1_000
"""Pure steps that the accepting transaction may wait for."""

MAX_ENTRIES = 100_000

UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True)
class Command:
    """Something open. `kind` is call (an action), child_start (a sub-flow), emit (an event) or queue (a message)."""

    kind: StepPhase
    path: str
    frame: StepFrame


def begin(
    plan: Plan,
    event: StoredEvent,
    run_id: str,
    trigger: str,
    at: float,
    environment: dict[str, str],
    bounds: int,
    events: Sequence[StoredEvent] = (),
    tree: StepTree | None = None,
) -> Run:
    """A new run, not walked yet. Its time is `at`, in seconds since the epoch; `bounds` is the number of the set under
    which its expressions are evaluated."""
    run = Run(plan, event, run_id, trigger, at, environment, bounds, list(events), tree)
    if plan.timeout is not None:
        run.timers[("", "deadline")] = at + plan.timeout
    run.root = push(run, None, plan.do, "do", run.scope)
    try:
        for name, template in plan.vars:
            run.scope.write(name, template.render(run.scope.names))
    except StepFailed as error:
        run.root.dead = True
        ending.root_failed(run, run.root, error.as_object("vars"))
    return run


def walk(run: Run, budget: int = UNBOUNDED) -> bool:
    """Goes on over pure steps. False when the run is quiet, True when `budget` steps were used up."""
    run.left = budget
    ready = run.ready
    while ready:
        if run.left <= 0:
            run.walked += budget
            return True
        frame = ready.pop()
        if not frame.dead:
            policy.advance(run, frame)
    run.walked += budget - run.left
    return False


def fold(run: Run, entry: AnyEntry) -> None:
    """Applies one entry to a quiet run. Raises Diverged when it fits nowhere."""
    if entry.at > run.now:
        run.now = entry.at
    run.effective += 1
    run.last_folded = entry
    FOLDS[type(entry)](run, entry)


def _open(run: Run, entry: AnyEntry, phases: tuple[StepPhase, ...]) -> StepFrame:
    frame = run.open.get(entry.path)
    if frame is None or frame.phase not in phases:
        raise Diverged(f"{type(entry).__name__} at {entry.path}: nothing is open there")
    return frame


def _started(run: Run, entry: Started) -> None:
    frame = _open(run, entry, (CALL,))
    if entry.attempt != frame.attempt:
        raise Diverged(f"Started at {entry.path}: attempt {entry.attempt}, not {frame.attempt}")
    frame.begun += 1


def _ended(run: Run, entry: Ended) -> None:
    frame = _open(run, entry, ANSWERABLE)
    del run.open[frame.path]
    frame.child = None
    policy.finish_step(run, frame, entry.value)


def _failed(run: Run, entry: Failed) -> None:
    frame = _open(run, entry, ANSWERABLE)
    frame.child = None
    policy.fail_step(run, frame, entry.error)


def _woke(run: Run, entry: Woke) -> None:
    waited = run.timers.pop((entry.path, "wake"), run.timers.pop((entry.path, "until"), None))
    if waited is None:
        raise Diverged(f"Woke at {entry.path}: no timer there")
    frame = _waiting(run, entry.path)
    if frame.phase is StepPhase.wait:
        policy.finish_step(run, frame, None)
    elif frame.phase is StepPhase.retry:
        policy.retry_step(run, frame)
    else:
        raise Diverged(f"Woke at {entry.path}: the step is in {frame.phase}")


def _timed_out(run: Run, entry: TimedOut) -> None:
    if entry.path == "":
        if run.timers.pop(("", "deadline"), None) is None and run.timers.pop(("", "finally"), None) is None:
            raise Diverged("TimedOut of the run: it has no deadline")
        ending.time_out(run)
        return
    if run.timers.pop((entry.path, "deadline"), None) is None:
        raise Diverged(f"TimedOut at {entry.path}: no deadline there")
    policy.time_out(run, _waiting(run, entry.path))


def _waiting(run: Run, path: str) -> StepFrame:
    frame = find(run, path)
    if frame is None:
        raise Diverged(f"no step is active at {path}")
    return frame


def find(run: Run, path: str) -> StepFrame | None:
    """The active step frame at a path."""
    blocks = [run.root] if run.root is not None else []
    while blocks:
        block = blocks.pop()
        frame = block.current
        if frame is None or block.dead:
            continue
        if frame.path == path:
            return frame
        if path.startswith(frame.path + "/"):
            blocks.extend(frame.children)
    return None


def _child(run: Run, entry: Child) -> None:
    frame = _open(run, entry, (StepPhase.child_start,))
    if frame.step.body.detach:
        del run.open[frame.path]
        policy.finish_step(run, frame, {"run": entry.run})
        return
    frame.phase = StepPhase.child
    frame.child = entry.run
    if run.tree is not None:
        run.tree.status(frame.path, StepStatus.waiting)


def _cancelled(run: Run, entry: Cancelled) -> None:
    ending.cancel(run, entry.reason, entry.kind)


def _paused(run: Run, entry: Paused) -> None:
    policy.pause_step(run, _open(run, entry, (CALL,)), entry.error)


def _resumed(run: Run, entry: Resumed) -> None:
    frame = run.paused.get(entry.path)
    if frame is None:
        raise Diverged(f"Resumed at {entry.path}: the step is not paused")
    policy.retry_step(run, frame)


def _retried(run: Run, entry: Retried) -> None:
    for frame in run.open.values():
        frame.begun = 0
        frame.attempt = 1
        if frame.deadline is not None:
            frame.deadline = run.now + (frame.step.timeout or 0.0)
            run.timers[(frame.path, "deadline")] = frame.deadline
    if run.plan.timeout is not None and ("", "deadline") in run.timers:
        run.timers[("", "deadline")] = run.now + run.plan.timeout
    run.start_attempt(run.attempt + 1)


def _shifted(run: Run, entry: Shifted) -> None:
    """Moments of the wall clock (`until`) stay what they are."""
    run.now = entry.at
    for (path, kind), due in run.timers.items():
        if kind == "until":
            continue
        run.timers[(path, kind)] = due + entry.by
        frame = find(run, path) if kind == "deadline" and path else None
        if frame is not None:
            frame.deadline = due + entry.by


FOLDS: dict[type, Callable[[Run, Any], None]] = {
    Started: _started,
    Ended: _ended,
    Failed: _failed,
    Woke: _woke,
    TimedOut: _timed_out,
    Child: _child,
    Cancelled: _cancelled,
    Paused: _paused,
    Resumed: _resumed,
    Retried: _retried,
    Shifted: _shifted,
}


def commands(run: Run) -> list[Command]:
    """What is open and can be performed, in the order of its opening."""
    return [Command(frame.phase, path, frame) for path, frame in run.open.items() if frame.phase in PERFORMABLE]


def status(run: Run) -> Status:
    """The run's status when it is quiet."""
    if run.ended:
        return run.status
    if any(frame.phase in PERFORMABLE for frame in run.open.values()) or run.ready:
        return Status.running
    return Status.paused if run.paused else Status.waiting


def change(run: Run, release: bool = False) -> Change:
    """What the store must know of a quiet run."""
    state = status(run)
    error = run.error
    if state is Status.paused:
        error = next(iter(run.paused.values())).error
    wake = until = None
    if run.timers and not run.ended:
        wake = min((due for (_, kind), due in run.timers.items() if kind != "until"), default=None)
        until = min((due for (_, kind), due in run.timers.items() if kind == "until"), default=None)
    return Change(
        status=state,
        at=run.now,
        wake=wake,
        until=until,
        output=run.output,
        error=error if run.ended or state is Status.paused else None,
        response=run.response,
        started=run.started,
        release=release,
    )


def effective_entries(entries: Sequence[AnyEntry]) -> tuple[list[AnyEntry], list[tuple[int, Snapshot]]]:
    """The entries that count, and the snapshots of them with the number that each sums up. A `Retried` keeps only the
    first `kept` of those before it, and how the clock was set."""
    kept: list[AnyEntry] = []
    snapshots: list[tuple[int, Snapshot]] = []
    for entry in entries:
        if isinstance(entry, Snapshot):
            snapshots.append((len(kept), entry))
            continue
        if isinstance(entry, Retried):
            kept[entry.kept :] = [other for other in kept[entry.kept :] if isinstance(other, Shifted)]
            snapshots = [(count, one) for count, one in snapshots if count <= entry.kept]
        kept.append(entry)
    return kept, snapshots


def recover(
    plan: Plan,
    event: StoredEvent,
    run_id: str,
    trigger: str,
    at: float,
    environment: dict[str, str],
    bounds: int,
    entries: Sequence[AnyEntry],
    events: Sequence[StoredEvent] = (),
    tree: StepTree | None = None,
    budget: int = UNBOUNDED,
) -> Run:
    """The run as its journal says it is: from its last snapshot on, or from its beginning where there is none that
    this build can read, or a tree is drawn. Raises Diverged, with the run paused being the caller's answer."""
    effective, snapshots = effective_entries(entries)
    run = None
    if snapshots and tree is None:
        folded, snapshot = snapshots[-1]
        try:
            run = Run(plan, event, run_id, trigger, at, environment, bounds, list(events), None)
            restore(run, snapshot)
            _fold_all(run, effective[folded:], budget)
        except (Unreadable, Diverged):
            run = None
    if run is None:
        run = begin(plan, event, run_id, trigger, at, environment, bounds, events, tree)
        if not (effective and isinstance(effective[0], Cancelled) and effective[0].path == "queued"):
            while walk(run, budget):
                pass
        _fold_all(run, effective, budget)
    run.snapshots = sum(isinstance(entry, Snapshot) for entry in entries)
    return run


def _fold_all(run: Run, entries: Sequence[AnyEntry], budget: int) -> None:
    for entry in entries:
        fold(run, entry)
        while walk(run, budget):
            pass


class MachineDecider:
    """`Decider` for the router: how a run starts, before anything is stored."""

    def begin(
        self,
        plan: Plan,
        event: StoredEvent,
        run_id: str,
        trigger: str,
        at: float,
        environment: dict[str, str],
        bounds: int,
        events: Sequence[StoredEvent] = (),
    ) -> Begun:
        run = begin(plan, event, run_id, trigger, at, environment, bounds, events)
        walk(run, PREFIX_STEPS)
        entries: list[AnyEntry] = []
        if not run.ready and not run.ended:
            entries = first_intentions(run)
            for entry in entries:
                fold(run, entry)
        return Begun(entries=entries, change=change(run), live=None if run.ended else run)
