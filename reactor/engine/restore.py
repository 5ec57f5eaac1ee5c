"""Makes a run of a snapshot. Pure."""

from __future__ import annotations

import msgspec

from reactor.contracts import plan
from reactor.contracts.journal import Snapshot
from reactor.engine.phases import VERB, Role, RunPhase
from reactor.engine.run_state import (
    FORMAT,
    BlockState,
    Copied,
    CountState,
    ProgressState,
    RunState,
    ScopeState,
    StepState,
    TurnsState,
    Values,
)  # fmt: skip
from reactor.engine.state import BlockFrame, BlockRole, Run, Scope, StepFrame
from reactor.engine.steps.foreach import Turns
from reactor.engine.steps.parallel import Progress

_decoder = msgspec.json.Decoder(RunState)


class Unreadable(Exception):
    """A snapshot that this build cannot use: the whole journal is folded instead."""


def restore(run: Run, snapshot: Snapshot) -> None:
    """Makes a run that was just constructed, and not begun, what it was when the snapshot was taken. Raises Unreadable;
    the run is of no use then."""
    if snapshot.version != FORMAT:
        raise Unreadable(f"a snapshot of format {snapshot.version}")
    try:
        state = _decoder.decode(snapshot.state)
        _Reader(run).read(state)
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    run.snapshot_at = run.effective


class _Reader:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._frames: dict[str, StepFrame] = {}

    def read(self, state: RunState) -> None:
        run = self._run
        run.phase, run.now, run.final = state.phase, state.now, state.final
        run.output, run.error, run.response = state.output, state.error, state.response
        run.effective, run.retry_point = state.effective, state.retry_point
        run.start_attempt(state.attempt)
        run.scope.vars.update(state.vars)
        run.scope.steps.update(state.steps)
        block = {RunPhase.body: run.plan.do, RunPhase.on_error: run.plan.on_error, RunPhase.closing: run.plan.closing}
        run.root = self._block(state.root, None, block[state.phase], run.scope)
        run.timers.update({(path, kind): due for path, kind, due in state.timers})
        run.open.update({path: self._frames[path] for path in state.open})
        run.paused.update({path: self._frames[path] for path in state.paused})

    def _block(self, state: BlockState, owner: StepFrame | None, block: plan.Block | None, outer: Scope) -> BlockFrame:
        assert block is not None
        role: BlockRole = Role[state.purpose] if state.purpose else state.role
        prefix = state.tail if owner is None else f"{owner.path}/{state.tail}"
        scope = outer if state.scope is None else _scope(state.scope, outer)
        if owner is not None and owner.phase is VERB and isinstance(owner.state, Progress):
            scope = owner.state.scopes[str(role)]
        frame = BlockFrame(block, prefix, owner, scope, role)
        frame.index, frame.value = state.index, state.value
        if state.current is not None:
            frame.current = self._step(state.current, frame)
        return frame

    def _step(self, state: StepState, block: BlockFrame) -> StepFrame:
        step = block.block.steps[block.index - 1]
        frame = StepFrame(step, f"{block.prefix}/{step.path}", block)
        frame.phase, frame.attempt, frame.generation, frame.begun = (
            state.phase, state.attempt, state.generation, state.begun,
        )  # fmt: skip
        frame.child, frame.error, frame.handler = state.child, state.error, state.handler
        frame.rescued, frame.deadline = state.rescued, state.deadline
        frame.state = _verb(state, frame)
        frame.children = [
            self._block(child, frame, _block_of(frame, child.purpose, child.role, child.tail), frame.scope)
            for child in state.blocks
        ]
        self._frames[frame.path] = frame
        return frame


def _verb(state: StepState, frame: StepFrame) -> object:
    verb = state.verb
    if isinstance(verb, TurnsState):
        turns = Turns(verb.items, verb.keys)
        turns.next, turns.done, turns.results, turns.size = verb.next, verb.done, verb.results, verb.size
        return turns
    if isinstance(verb, ProgressState):
        progress = Progress(list(verb.branches))
        for name, branch in verb.branches.items():
            progress.status[name] = branch.status
            progress.results[name], progress.errors[name] = branch.result, branch.error
            if branch.scope is not None:
                progress.scopes[name] = _scope(branch.scope, frame.scope)
        return progress
    if isinstance(verb, CountState):
        return verb.turns
    return None if verb is None else (verb.outcome, verb.value)


def _scope(state: ScopeState, outer: Scope) -> Scope:
    vars = outer.vars if isinstance(state.vars, bool) else _copy(state.vars, outer.vars)
    steps = outer.steps if isinstance(state.steps, bool) else _copy(state.steps, outer.steps)
    names = {**outer.names, "vars": vars, "steps": steps, **state.names}
    wrote_vars = _written(state.wrote_vars, outer.wrote_vars, vars)
    return Scope(names, vars, steps, wrote_vars, _written(state.wrote_steps, outer.wrote_steps, steps))


def _copy(state: Copied, beside: Values) -> Values:
    return {name: state.own[name] if name in state.own else beside[name] for name in state.names}


def _written(state: Copied | bool | None, outer: Values | None, beside: Values) -> Values | None:
    if state is None or isinstance(state, bool):
        return outer if state else None
    return _copy(state, beside)


def _block_of(frame: StepFrame, purpose: str, role: int | str | None, tail: str) -> plan.Block | None:
    """The list of steps in the plan that a child block of a step stands in."""
    step, body = frame.step, frame.step.body
    if purpose:
        if Role[purpose] is Role.handler:
            assert step.on_error is not None and frame.handler is not None
            return step.on_error[frame.handler].do
        if Role[purpose] is Role.on_timeout:
            assert isinstance(step.on_timeout, plan.Block)
            return step.on_timeout
        assert isinstance(body, plan.Try)
        return body.closing
    if isinstance(body, plan.Parallel):
        return next(branch.do for branch in body.branches if branch.name == role)
    if isinstance(body, plan.If):
        arms = [block for _, block in body.arms]
        return body.otherwise if tail == "else" else next(block for block in arms if block.suffix == tail)
    if isinstance(body, plan.Switch):
        cases = [*body.cases.values(), *([body.default] if body.default is not None else [])]
        return next(block for block in cases if block.suffix == tail)
    assert isinstance(body, (plan.Foreach, plan.While, plan.Until, plan.Try))
    return body.do
