"""What a run, a step and a list inside a step are at. The words are what journals, tests and people read.

Members that each step asks for are names of this module too: a look into an enum class costs more than a step's other
bookkeeping."""

from __future__ import annotations

import enum
from typing import Literal


class RunPhase(enum.StrEnum):
    """Which of a flow's lists a run is in."""

    body = "do"
    on_error = "on_error"
    closing = "finally"
    ended = "ended"


ENDED = RunPhase.ended


class StepPhase(enum.StrEnum):
    """What the present attempt of a step is at."""

    verb = "verb"
    """The verb itself goes on, through pure steps or child blocks."""
    call = "call"
    """An action is open."""
    child_start = "child_start"
    """A sub-flow is to be started."""
    child = "child"
    """A sub-flow runs."""
    emit = "emit"
    queue = "queue"
    wait = "wait"
    retry = "retry"
    """The pause before the next attempt."""
    handler = "handler"
    """Its `on_error` or `on_timeout` runs."""
    closing = "finally"
    paused = "paused"
    """For a person."""


VERB = StepPhase.verb
CALL = StepPhase.call
PERFORMABLE = (CALL, StepPhase.child_start, StepPhase.emit, StepPhase.queue)
"""Something is open that the runner can do."""
ANSWERABLE = (*PERFORMABLE, StepPhase.child)
"""An end or a failure may come from outside."""


class Role(enum.Enum):
    """What a child block is for, where it does not belong to the verb itself."""

    handler = enum.auto()
    closing = enum.auto()
    on_timeout = enum.auto()


TimerKind = Literal["wake", "until", "deadline", "finally"]
"""`wake` ends a wait or the pause before an attempt, `until` does at a moment of the wall clock; `deadline` is a
timeout, `finally` the limit of a flow's closing list."""


class StepStatus(enum.StrEnum):
    """A step as people see it."""

    running = "running"
    waiting = "waiting"
    paused = "paused"
    skipped = "skipped"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"
