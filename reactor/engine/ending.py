"""How a run ends: body, `on_error`, `finally`, then one of succeeded, failed, cancelled (the table of endings)."""

from __future__ import annotations

from reactor.contracts.errors import ErrorObject, StepFailed, error_object
from reactor.contracts.journal import Cancelled, Failed, TimedOut
from reactor.contracts.run import Status
from reactor.engine.phases import ENDED, RunPhase
from reactor.engine.state import ENDINGS_LIMIT, BlockFrame, Run, cancel_block, push


def root_ended(run: Run, block: BlockFrame) -> None:
    """The body, the flow's `on_error` or its `finally` ran to its end."""
    if run.phase is RunPhase.body:
        if run.plan.output is not None:
            try:
                run.output = run.plan.output.render(run.scope.names)
            except StepFailed as error:
                root_failed(run, block, {**error.as_object("output")})
                return
        run.final = Status.succeeded
        _close(run)
    elif run.phase is RunPhase.on_error:
        _close(run)
    else:
        _end(run)


def root_failed(run: Run, block: BlockFrame, error: ErrorObject) -> None:
    """The body failed, or one of the lists that run after it."""
    if run.phase is RunPhase.body:
        run.error = error
        run.output = None
        run.final = Status.failed
        if run.retry_point is None and isinstance(run.last_folded, (Failed, TimedOut)):
            run.retry_point = run.effective - 1
        _handle(run)
    elif run.phase is RunPhase.on_error:
        assert run.error is not None
        run.error = {**error, "details": {**error["details"], "cause": run.error}}
        _close(run)
    else:
        _closing_failed(run, error)


def _closing_failed(run: Run, error: ErrorObject) -> None:
    run.output = None
    if run.error is None:
        run.error = error
    else:
        run.error = {**run.error, "details": {**run.error["details"], "finally": error}}
    if run.final is Status.succeeded:
        run.final = Status.failed
    _end(run)


def _handle(run: Run) -> None:
    run.phase = RunPhase.on_error
    if run.plan.on_error is None:
        _close(run)
        return
    run.timers.pop(("", "deadline"), None)
    run.root = push(run, None, run.plan.on_error, "on_error", run.scope.with_names(error=run.error))


def _close(run: Run) -> None:
    run.phase = RunPhase.closing
    run.timers.pop(("", "deadline"), None)
    if run.plan.closing is None:
        _end(run)
        return
    run.timers[("", "finally")] = run.now + ENDINGS_LIMIT
    run.root = push(run, None, run.plan.closing, "finally", run.scope.with_names(error=run.error))


def _end(run: Run) -> None:
    assert run.final is not None
    run.phase = ENDED
    run.status = run.final
    run.timers.clear()
    run.ready.clear()
    run.open.clear()
    run.paused.clear()


def _drop_root(run: Run) -> None:
    if run.root is not None:
        cancel_block(run, run.root)
        run.root = None


def stop(run: Run, status: Status) -> None:
    """A `stop` step. In `on_error` and `finally` it ends that list only."""
    root = run.root
    _drop_root(run)
    if run.phase is RunPhase.body:
        run.final = status
        _close(run)
    elif root is not None:
        root_ended(run, root)


def cancel(run: Run, reason: str, type: str) -> None:
    """By a person, a watch or `replace`. `finally` still runs; once it runs it is not cancelled any more."""
    if run.phase in (RunPhase.closing, ENDED):
        return
    if isinstance(run.last_folded, Cancelled):
        run.retry_point = run.effective - 1
    _drop_root(run)
    run.error = error_object(type, reason or "cancelled", retryable=False)
    run.output = None
    run.final = Status.cancelled
    _close(run)


def time_out(run: Run) -> None:
    """The run's own timeout, or the limit of `finally`, passed."""
    _drop_root(run)
    error = error_object("timeout", "")
    if run.phase is RunPhase.closing:
        _closing_failed(run, {**error, "message": f"finally took more than {ENDINGS_LIMIT:g} s"})
        return
    error["message"] = f"the run took more than {run.plan.timeout:g} s"
    run.error = error
    run.output = None
    run.final = Status.failed
    if run.retry_point is None:
        run.retry_point = run.effective - 1
    _handle(run)
