"""Which journal entries follow from what happened to a quiet run: a timer came due, a signal came in, an effect is
about to be performed. Pure: the caller says when, folds each entry and walks before it asks again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reactor.contracts.errors import ErrorObject, error_object
from reactor.contracts.journal import AnyEntry, Cancelled, Ended, Failed, Paused, Resumed, Started, TimedOut, Woke
from reactor.contracts.run import Status
from reactor.contracts.signals import Cancel, ChildEnded, Resume, message_of
from reactor.contracts.store import Signal
from reactor.engine.phases import CALL, StepPhase, TimerKind
from reactor.engine.state import Run, StepFrame

MAX_CRASHES = 3
"""How often a process may end in one intention, before a person must look at it."""

Timer = tuple[float, str, TimerKind]
"""When it is due, the path of its step, and its kind."""


def next_due(run: Run) -> Timer | None:
    """The earliest timer. `until` is a moment of the wall clock."""
    return _earliest((due, path, kind) for (path, kind), due in run.timers.items())


def due_entry(run: Run, at: float, wall: float | None = None) -> AnyEntry | None:
    """The entry for the earliest timer that is due at `at` (by the wall clock: at `wall`, else `at`), or None."""
    moment = at if wall is None else wall
    found = _earliest(
        (due, path, kind) for (path, kind), due in run.timers.items() if due <= (moment if kind == "until" else at)
    )
    if found is None:
        return None
    due, path, kind = found
    if kind == "until":
        return Woke(path, max(at, run.now))
    return Woke(path, max(at, due)) if kind == "wake" else TimedOut(path, max(at, due))


def _earliest(timers: Iterable[Timer]) -> Timer | None:
    return min(timers, key=lambda timer: (timer[0], timer[1:]), default=None)


def first_intentions(run: Run) -> list[AnyEntry]:
    """Entries to write before open actions are performed for the first time; `repeat: safe` needs none then."""
    return [
        Started(path, run.now, frame.attempt)
        for path, frame in run.open.items()
        if frame.phase is CALL and frame.begun == 0 and frame.step.body.repeat != "safe"
    ]


def intentions(run: Run, at: float, own: Collection[str], recovered: bool) -> list[AnyEntry]:
    """The same where an earlier process may have left an intention, which is judged by its `repeat`: written again, or
    left to a person. `own` are the paths whose intention this process wrote itself; with `recovered`, `repeat: safe`
    is written too, so that its crashes are counted."""
    found: list[AnyEntry] = []
    for path, frame in run.open.items():
        if frame.phase is not CALL or path in own:
            continue
        repeat = frame.step.body.repeat
        if frame.begun and (repeat == "never" or frame.begun >= MAX_CRASHES):
            found.append(Paused(path, at, crashed(frame)))
        elif frame.begun or repeat != "safe" or recovered:
            found.append(Started(path, at, frame.attempt))
    return found


def crashed(frame: StepFrame) -> ErrorObject:
    """Why a step that was in flight at a crash waits for a person."""
    if frame.step.body.repeat == "never":
        message = "the daemon ended while this step ran, and it is never repeated by itself; resume or cancel the run"
    else:
        message = f"the daemon ended {frame.begun} times while this step ran; resume or cancel the run"
    return error_object("crashed", message, step=frame.step.id or frame.path, attempt=frame.attempt, retryable=False)


def of_signal(run: Run, signal: Signal, at: float) -> list[AnyEntry]:
    """What a stored message means to the run now; nothing where it comes too late. (`retry` is for an ended run: the
    pool answers it.)"""
    message = message_of(signal)
    if isinstance(message, Cancel):
        return [Cancelled("", at, message.reason, message.type)]
    if isinstance(message, Resume):
        return [Resumed(path, at) for path in run.paused]
    if isinstance(message, ChildEnded):
        return _child_ended(run, message, at)
    return []


def _child_ended(run: Run, child: ChildEnded, at: float) -> list[AnyEntry]:
    frame = run.open.get(child.path)
    if frame is None or frame.phase is not StepPhase.child or frame.child != child.run:
        return []
    if child.status is Status.succeeded:
        return [Ended(frame.path, at, child.output)]
    status = child.status.value
    details = {"run": child.run, "flow": child.flow, "status": status, "error": child.error}
    message = f"the flow {child.flow} {status}"
    if child.error:
        message += f": {child.error.get('message', '')}"
    return [Failed(frame.path, at, error_object("flow.failed", message, details=details))]
