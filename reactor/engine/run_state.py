"""The shape of a snapshot: a quiet run as data. `snapshot.py` writes it, `restore.py` reads it.

What is not in it is given anew: the plan, the event, the environment. Frames are a tree, each below its owner. A scope
is what differs from the scope of its owner, and what both share stays shared: variables of a turn are those of its
loop, unless turns run at once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.contracts.errors import ErrorObject
from reactor.contracts.run import Status
from reactor.engine.phases import RunPhase, StepPhase, TimerKind
from reactor.engine.steps.parallel import BranchState

FORMAT = 1
"""Changes with the shape of `RunState`, and with what the machine means by it. Other numbers are not read."""

Values = dict[str, Any]
"""JSON objects; `object` would be a type of its own to msgspec."""


class Copied(msgspec.Struct, array_like=True):
    """An object of its own beside another one: all its names in order, and the values that are not the other's."""

    names: list[str]
    own: Values


class ScopeState(msgspec.Struct, array_like=True):
    """What differs from the owner's scope. True: the very same object as the owner's."""

    vars: Copied | bool
    steps: Copied | bool
    wrote_vars: Copied | bool | None
    wrote_steps: Copied | bool | None
    names: Values


class TurnsState(msgspec.Struct, array_like=True, tag="turns"):
    items: list[Any]
    keys: list[str] | None
    next: int
    done: int
    results: list[Any]
    size: int


class BranchProgress(msgspec.Struct, array_like=True):
    status: BranchState
    result: Any
    error: ErrorObject | None
    scope: ScopeState | None


class ProgressState(msgspec.Struct, array_like=True, tag="branches"):
    branches: dict[str, BranchProgress]


class CountState(msgspec.Struct, array_like=True, tag="count"):
    """Turns of a `while` or `until` that were begun."""

    turns: int


class ClosingState(msgspec.Struct, array_like=True, tag="closing"):
    """How a `try` ends once its `finally` is through: well (true), with an error (false), or rescued (null)."""

    outcome: bool | None
    value: Any


class StepState(msgspec.Struct, array_like=True):
    phase: StepPhase
    attempt: int
    generation: int
    begun: int
    child: str | None
    error: ErrorObject | None
    handler: int | None
    rescued: bool
    deadline: float | None
    verb: TurnsState | ProgressState | CountState | ClosingState | None
    blocks: list[BlockState]


class BlockState(msgspec.Struct, array_like=True):
    """`tail` is what its prefix adds to the path of its owner; `scope` None is the owner's own."""

    tail: str
    purpose: str
    role: int | str | None
    index: int
    value: Any
    scope: ScopeState | None
    current: StepState | None


class RunState(msgspec.Struct):
    phase: RunPhase
    now: float
    final: Status | None
    output: Any
    error: ErrorObject | None
    response: Values | None
    attempt: int
    effective: int
    retry_point: int | None
    vars: Values
    steps: Values
    timers: list[tuple[str, TimerKind, float]]
    open: list[str]
    paused: list[str]
    root: BlockState
