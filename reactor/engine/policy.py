"""What surrounds every verb: guards, attempts, timeouts, handlers, and where a step's end leads.

Rules of this file: a step's end sets its result and hands its block back to the walk; a failure goes through
retry, then `on_error` once, then `finally` of a `try`, and only then to the block that holds the step.
"""

from __future__ import annotations

from reactor.contracts import plan
from reactor.contracts.errors import ErrorObject, StepFailed, error_object
from reactor.engine import ending
from reactor.engine.phases import VERB, Role, StepPhase, StepStatus
from reactor.engine.retry import delay
from reactor.engine.state import (
    BLOCKED,
    BlockFrame,
    Raised,
    Run,
    StepFrame,
    Stopped,
    cancel_block,
    close,
    push,
)
from reactor.engine.verbs import INSTANT, VERBS


def advance(run: Run, block: BlockFrame) -> None:
    """Goes on with a block until it ends, or something in it must wait, or the budget is used up."""
    steps = block.block.steps
    count = len(steps)
    while not block.dead:
        index = block.index
        if index >= count:
            end_block(run, block)
            return
        if run.left <= 0:
            run.ready.append(block)
            return
        run.left -= 1
        block.index = index + 1
        step = steps[index]
        if step.plain and step.verb in INSTANT and run.tree is None:
            frame = StepFrame(step, "", block)
            try:
                block.value = value = VERBS[step.verb].enter(run, frame)
            except (StepFailed, Raised, Stopped) as error:
                frame.path = f"{block.prefix}/{step.path}"
                block.current = frame
                _raised(run, frame, error)
                return
            if step.id is not None:
                block.scope.result(step.id, value)
            continue
        _enter(run, block, step)
        return


def _enter(run: Run, block: BlockFrame, step: plan.Step) -> None:
    frame = StepFrame(step, f"{block.prefix}/{step.path}", block)
    block.current = frame
    if run.tree is not None:
        parent = block.owner.path if block.owner is not None else None
        run.tree.entered(parent, frame.path, step.id, step.name, step.verb, run.now)
    try:
        skipped = not all(clause.evaluate(block.scope.names) for clause in step.only_if) or any(
            clause.evaluate(block.scope.names) for clause in step.unless
        )
    except StepFailed as error:
        _raised(run, frame, error)
        return
    if skipped:
        block.current = None
        if step.id is not None:
            block.scope.forget(step.id)
        if run.tree is not None:
            run.tree.ended(frame.path, StepStatus.skipped, run.now)
        run.ready.append(block)
        return
    attempt(run, frame)


def attempt(run: Run, frame: StepFrame) -> None:
    """Starts the present attempt of a step."""
    frame.phase = VERB
    frame.state = None
    timeout = frame.step.timeout
    if timeout is not None:
        frame.deadline = run.now + timeout
        run.timers[(frame.path, "deadline")] = frame.deadline
    if run.tree is not None:
        run.tree.attempt(frame.path, frame.attempt)
        run.tree.status(frame.path, StepStatus.running)
    try:
        value = VERBS[frame.step.verb].enter(run, frame)
    except (StepFailed, Raised, Stopped) as error:
        _raised(run, frame, error)
        return
    if value is not BLOCKED:
        finish_step(run, frame, value)
    elif run.tree is not None and frame.phase is StepPhase.wait:
        run.tree.status(frame.path, StepStatus.waiting)


def _raised(run: Run, frame: StepFrame, error: Exception) -> None:
    if isinstance(error, Stopped):
        ending.stop(run, error.status)
    elif isinstance(error, StepFailed):
        fail_step(run, frame, error.as_object())
    elif isinstance(error, Raised):
        fail_step(run, frame, error.error)
    else:
        raise error


def finish_step(run: Run, frame: StepFrame, value: object) -> None:
    """The step ended well."""
    if frame.deadline is not None or frame.children or frame.child is not None:
        close(run, frame)
    if _finally(run, frame, True, value):
        return
    block = frame.block
    block.current = None
    block.value = value
    if frame.step.id is not None:
        block.scope.result(frame.step.id, value)
    if run.tree is not None:
        run.tree.ended(frame.path, StepStatus.succeeded, run.now, value)
    run.ready.append(block)


def fail_step(run: Run, frame: StepFrame, error: ErrorObject) -> None:
    """The present attempt failed: retry, handlers, or up to the block."""
    close(run, frame)
    step = frame.step
    if error.get("step") is None:
        error = {**error, "step": step.id or frame.path}
    error = {**error, "attempt": frame.attempt}
    frame.error = error
    if step.on_timeout is not None and error["type"] == "timeout" and error["step"] in (step.id, frame.path):
        _timed_out(run, frame, step.on_timeout, error)
        return
    retry = step.retry
    if retry is not None:
        try:
            again = _retry_holds(frame, retry, error)
        except StepFailed as other:
            _unretried(run, frame, _caused(other.as_object(error["step"], frame.attempt), error))
            return
        if again and frame.attempt <= retry.times:
            frame.phase = StepPhase.retry
            run.timers[(frame.path, "wake")] = run.now + delay(retry, run.id, frame.path, frame.attempt, error)
            if run.tree is not None:
                run.tree.status(frame.path, StepStatus.waiting, error)
            return
        if again and retry.then == "pause":
            pause_step(run, frame, error)
            return
    _unretried(run, frame, error)


def _timed_out(run: Run, frame: StepFrame, instead: plan.Template | plan.Block, error: ErrorObject) -> None:
    """A step that has `on_timeout` ends well after all: with a value, or with that of the steps that run now."""
    if isinstance(instead, plan.Block):
        frame.phase = StepPhase.handler
        if run.tree is not None:
            run.tree.status(frame.path, StepStatus.running, error)
        push(
            run, frame, instead, f"{frame.path}/{instead.suffix}", frame.scope.with_names(error=error), Role.on_timeout
        )
        return
    try:
        finish_step(run, frame, instead.render(frame.scope.names))
    except StepFailed as other:
        _unretried(run, frame, {**other.as_object(), "step": error["step"], "attempt": frame.attempt})


def _retry_holds(frame: StepFrame, retry: plan.Retry, error: ErrorObject) -> bool:
    if retry.condition is None:
        return bool(error["retryable"])
    return bool(retry.condition.evaluate({**frame.scope.names, "error": error}))


def pause_step(run: Run, frame: StepFrame, error: ErrorObject) -> None:
    """The step waits for a person."""
    close(run, frame)
    frame.phase = StepPhase.paused
    frame.error = error
    run.paused[frame.path] = frame
    if run.tree is not None:
        run.tree.status(frame.path, StepStatus.paused, error)


def retry_step(run: Run, frame: StepFrame) -> None:
    """The pause before an attempt is over, or a person let the step go on."""
    if frame.phase is StepPhase.paused:
        run.paused.pop(frame.path, None)
        frame.attempt = 1
    else:
        frame.attempt += 1
    attempt(run, frame)


def _unretried(run: Run, frame: StepFrame, error: ErrorObject) -> None:
    frame.error = error
    handlers = frame.step.on_error
    if handlers is not None and frame.handler is None:
        names = {**frame.scope.names, "error": error}
        for index, handler in enumerate(handlers):
            try:
                if not catches(handler.catch, error["type"]):
                    continue
                if handler.condition is not None and not handler.condition.evaluate(names):
                    continue
            except StepFailed as other:
                _conclude(run, frame, _caused(other.as_object(error["step"], frame.attempt), error))
                return
            frame.phase = StepPhase.handler
            frame.handler = index
            if run.tree is not None:
                run.tree.status(frame.path, StepStatus.running, error)
            prefix = f"{frame.path}/{handler.do.suffix}"
            push(run, frame, handler.do, prefix, frame.scope.with_names(error=error), Role.handler)
            return
    _conclude(run, frame, error)


def catches(pattern: str | None, type: str) -> bool:
    """Whether `catch:` takes an error type: the word itself, or `http.*` for everything below."""
    if pattern is None or pattern == "*":
        return True
    if pattern.endswith(".*"):
        return type.startswith(pattern[:-1]) or type == pattern[:-2]
    return pattern == type


def _caused(error: ErrorObject, cause: ErrorObject) -> ErrorObject:
    return {**error, "details": {**error["details"], "cause": cause}}


def _conclude(run: Run, frame: StepFrame, error: ErrorObject) -> None:
    """No handler took the error: it goes up."""
    close(run, frame)
    if _finally(run, frame, False, error):
        return
    block = frame.block
    if frame.step.id is not None:
        block.scope.forget(frame.step.id)
    if run.tree is not None:
        run.tree.ended(frame.path, StepStatus.failed, run.now, error=error)
    fail_block(run, block, error)


def _rescued(run: Run, frame: StepFrame) -> None:
    """A handler went on: the step has no result, and the flow continues behind it."""
    close(run, frame)
    if _finally(run, frame, None, frame.error):
        return
    block = frame.block
    block.current = None
    if frame.step.id is not None:
        block.scope.forget(frame.step.id)
    if run.tree is not None:
        run.tree.ended(frame.path, StepStatus.failed, run.now, error=frame.error)
    run.ready.append(block)


def _finally(run: Run, frame: StepFrame, outcome: bool | None, value: object) -> bool:
    """Starts the `finally` of a `try`, once; True when it did."""
    body = frame.step.body
    if frame.step.verb != "try" or body.closing is None or frame.phase is StepPhase.closing:
        return False
    frame.phase = StepPhase.closing
    frame.state = (outcome, value)
    push(run, frame, body.closing, f"{frame.path}/finally", frame.scope, Role.closing)
    return True


def end_block(run: Run, block: BlockFrame) -> None:
    """A block ran to its end."""
    block.dead = True
    frame = block.owner
    if frame is None:
        ending.root_ended(run, block)
        return
    if isinstance(block.role, Role):
        if block.role is Role.handler:
            _handler_ended(run, frame)
        elif block.role is Role.closing:
            _after_finally(run, frame)
        else:
            finish_step(run, frame, block.value)
        return
    try:
        value = VERBS[frame.step.verb].ended(run, frame, block, block.value)
    except (StepFailed, Raised, Stopped) as error:
        _raised(run, frame, error)
        return
    if value is not BLOCKED:
        finish_step(run, frame, value)


def _handler_ended(run: Run, frame: StepFrame) -> None:
    assert frame.step.on_error is not None and frame.handler is not None and frame.error is not None
    then = frame.step.on_error[frame.handler].then
    if then == "retry" and not frame.rescued:
        frame.rescued = True
        frame.handler = None
        frame.attempt += 1
        attempt(run, frame)
    elif then == "continue":
        _rescued(run, frame)
    else:
        _conclude(run, frame, frame.error)


def _after_finally(run: Run, frame: StepFrame) -> None:
    outcome, value = frame.state
    if outcome is True:
        finish_step(run, frame, value)
    elif outcome is False:
        _conclude(run, frame, value)
    else:
        _rescued(run, frame)


def fail_block(run: Run, block: BlockFrame, error: ErrorObject) -> None:
    """A step of the block failed for good."""
    block.dead = True
    block.current = None
    frame = block.owner
    if frame is None:
        ending.root_failed(run, block, error)
        return
    if block.role is Role.closing:
        outcome, value = frame.state
        _conclude(run, frame, _caused(error, value) if outcome is False else error)
        return
    if isinstance(block.role, Role):
        assert frame.error is not None
        if block.role is Role.handler:
            _conclude(run, frame, _caused(error, frame.error))
        else:
            _unretried(run, frame, _caused(error, frame.error))
        return
    try:
        value = VERBS[frame.step.verb].failed(run, frame, block, error)
    except (StepFailed, Raised, Stopped) as raised:
        _raised(run, frame, raised)
        return
    if value is not BLOCKED:
        finish_step(run, frame, value)


def time_out(run: Run, frame: StepFrame) -> None:
    """The step's deadline passed: everything inside it is cancelled."""
    for child in list(frame.children):
        cancel_block(run, child)
    limit = frame.step.timeout
    error = error_object(
        "timeout",
        f"timed out after {limit:g} s" if limit is not None else "timed out",
        step=frame.step.id or frame.path,
        details={"seconds": limit},
    )
    fail_step(run, frame, error)
