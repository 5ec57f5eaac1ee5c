"""Makes snapshots of quiet runs, so that a recovery need not fold what came before. Pure.

A snapshot is a cache in the journal: it stands behind the entries that it sums up, they stay, and a run folded without
it is the same. It is exact or it is not made: values that JSON would change, or a state that is too large for what it
saves, give none.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

from reactor.contracts.journal import Snapshot
from reactor.engine.phases import VERB, Role, StepPhase
from reactor.engine.run_state import (
    FORMAT,
    BlockState,
    BranchProgress,
    ClosingState,
    Copied,
    CountState,
    ProgressState,
    RunState,
    ScopeState,
    StepState,
    TurnsState,
    Values,
)  # fmt: skip
from reactor.engine.state import BlockFrame, Run, Scope, StepFrame
from reactor.engine.steps.foreach import Turns
from reactor.engine.steps.parallel import Progress

ENTRIES = 100
"""A snapshot is worth making after so many entries."""
STEPS_AN_ENTRY = 100
"""So many pure steps count like an entry."""
BYTES_AN_ENTRY = 256
"""What a snapshot may add to the journal for each entry that it sums up."""
MAX_BYTES = 1024 * 1024

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class _Unfit(Exception):
    """The state holds something that JSON would change, or is larger than its room."""


def due(run: Run) -> bool:
    """Whether so much came since the last snapshot that one is worth trying."""
    return _since(run) >= max(ENTRIES, run.snapshot_after)


def _since(run: Run) -> int:
    return run.effective - run.snapshot_at + run.walked // STEPS_AN_ENTRY


def take(run: Run) -> Snapshot | None:
    """A quiet run that has not ended as an entry; None when it is too large for what it saves, or not exact. It is
    tried again when twice as much came."""
    since = max(_since(run), 1)
    room = min(BYTES_AN_ENTRY * since, MAX_BYTES)
    state = written(run, room)
    if state is None:
        run.snapshot_after = 2 * since
        return None
    run.snapshot_at, run.snapshot_after, run.walked = run.effective, 0, 0
    run.snapshots += 1
    return Snapshot("", run.now, FORMAT, msgspec.Raw(state))


def written(run: Run, room: int) -> bytes | None:
    """The state of a quiet run that has not ended, as at most `room` bytes of JSON; None when it does not fit."""
    try:
        state = _encoder.encode(_Writer(room).run(run))
    except (_Unfit, RecursionError, ValueError):
        return None
    return state if len(state) <= room else None


class _Writer:
    def __init__(self, room: int) -> None:
        self._room = room
        self._live: set[int] = set()
        """Objects that the run changes in place: a value that is one of them would be another after a recovery."""
        self._walked: set[int] = set()

    def run(self, run: Run) -> RunState:
        assert run.root is not None and not run.ready
        self._live |= {id(run.scope.vars), id(run.scope.steps), id(run.described)}
        state = RunState(
            phase=run.phase,
            now=run.now,
            final=run.final,
            output=self._exact(run.output),
            error=self._exact(run.error),
            response=self._exact(run.response),
            attempt=run.attempt,
            effective=run.effective,
            retry_point=run.retry_point,
            vars=self._each(run.scope.vars),
            steps=self._each(run.scope.steps),
            timers=[(path, kind, due) for (path, kind), due in run.timers.items()],
            open=list(run.open),
            paused=list(run.paused),
            root=self._block(run.root, "", run.scope, None),
        )
        if not self._live.isdisjoint(self._walked):
            raise _Unfit
        return state

    def _each(self, values: Values) -> Values:
        return {name: self._exact(value) for name, value in values.items()}

    def _exact(self, value: T) -> T:
        """The value itself. Raises _Unfit when JSON would not give it back, or the room is used up."""
        stack: list[Any] = [value]
        room = self._room
        while stack:
            one = stack.pop()
            kind = type(one)
            room -= 1
            if kind is str:
                room -= len(one)
            elif kind is dict:
                room -= len(one)
                self._walked.add(id(one))
                if any(type(name) is not str for name in one):
                    raise _Unfit
                if room > 0:
                    stack.extend(one.values())
            elif kind is list:
                if room > len(one):
                    stack.extend(one)
                else:
                    raise _Unfit
            elif kind is int:
                if not -(2**63) <= one < 2**63:
                    raise _Unfit
            elif kind is float:
                if not math.isfinite(one):
                    raise _Unfit
            elif one is not None and kind is not bool:
                raise _Unfit
            if room < 0:
                raise _Unfit
        self._room = room
        return value

    def _block(self, block: BlockFrame, path: str, outer: Scope, progress: Progress | None) -> BlockState:
        shared = block.scope is outer or (progress is not None and block.scope is progress.scopes.get(str(block.role)))
        role, purpose = (None, block.role.name) if isinstance(block.role, Role) else (block.role, "")
        return BlockState(
            tail=block.prefix[len(path) + 1 :] if path else block.prefix,
            purpose=purpose,
            role=role,
            index=block.index,
            value=self._exact(block.value),
            scope=None if shared else self._scope(block.scope, outer),
            current=None if block.current is None else self._step(block.current),
        )

    def _step(self, frame: StepFrame) -> StepState:
        progress = frame.state if frame.phase is VERB and isinstance(frame.state, Progress) else None
        return StepState(
            phase=frame.phase,
            attempt=frame.attempt,
            generation=frame.generation,
            begun=frame.begun,
            child=frame.child,
            error=self._exact(frame.error),
            handler=frame.handler,
            rescued=frame.rescued,
            deadline=frame.deadline,
            verb=self._verb(frame),
            blocks=[
                self._block(block, frame.path, frame.scope, progress) for block in frame.children if not block.dead
            ],
        )

    def _verb(self, frame: StepFrame) -> TurnsState | ProgressState | CountState | ClosingState | None:
        """What the verb keeps between the ends of its blocks; what an earlier attempt left counts no more."""
        state = frame.state
        if frame.phase is StepPhase.closing:
            outcome, value = state
            return ClosingState(outcome, self._exact(value))
        if frame.phase is not VERB or state is None:
            return None
        if isinstance(state, Turns):
            items, results = self._exact(state.items), self._exact(state.results)
            return TurnsState(items, state.keys, state.next, state.done, results, state.size)
        if isinstance(state, Progress):
            return ProgressState({name: self._branch(frame, state, name) for name in state.status})
        assert type(state) is int
        return CountState(state)

    def _branch(self, frame: StepFrame, progress: Progress, name: str) -> BranchProgress:
        scope = progress.scopes.get(name)
        return BranchProgress(
            progress.status[name],
            self._exact(progress.results[name]),
            self._exact(progress.errors[name]),
            None if scope is None else self._scope(scope, frame.scope),
        )

    def _scope(self, scope: Scope, outer: Scope) -> ScopeState:
        self._live |= {id(scope.vars), id(scope.steps), id(scope.wrote_vars), id(scope.wrote_steps)} - {id(None)}
        names = {
            name: self._exact(value)
            for name, value in scope.names.items()
            if name not in ("vars", "steps") and value is not outer.names.get(name, self)
        }
        return ScopeState(
            vars=scope.vars is outer.vars or self._copied(scope.vars, outer.vars),
            steps=scope.steps is outer.steps or self._copied(scope.steps, outer.steps),
            wrote_vars=scope.wrote_vars is outer.wrote_vars or self._written(scope.wrote_vars, scope.vars),
            wrote_steps=scope.wrote_steps is outer.wrote_steps or self._written(scope.wrote_steps, scope.steps),
            names=names,
        )

    def _copied(self, values: Values, beside: Values) -> Copied:
        own = {name: self._exact(value) for name, value in values.items() if value is not beside.get(name, self)}
        self._room -= sum(map(len, values))
        return Copied(list(values), own)

    def _written(self, values: Values | None, beside: Values) -> Copied | None:
        return None if values is None else self._copied(values, beside)
