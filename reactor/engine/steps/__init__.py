"""One file a verb. `enter` starts an attempt and returns the step's value or BLOCKED; `ended` and `failed` are told
of a child block's end. Errors are raised (StepFailed, Raised, Stopped)."""

from __future__ import annotations

from typing import Protocol

from reactor.contracts.errors import ErrorObject
from reactor.engine.state import BlockFrame, Raised, Run, StepFrame


class Verb(Protocol):
    def enter(self, run: Run, frame: StepFrame) -> object: ...

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object: ...

    def failed(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject) -> object: ...


class Plain:
    """A verb whose child block's end is its own end."""

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        return value

    def failed(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject) -> object:
        raise Raised(error)
