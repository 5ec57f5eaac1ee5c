"""One file a verb: how its steps are walked. How they are read stands under the same names in `flows/verbs`;
`reactor.contracts.plan.BODIES` lists all verbs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from reactor.contracts.errors import ErrorObject
from reactor.engine.state import BlockFrame, Raised, Run, StepFrame


class Verb(ABC):
    """How a verb is walked. One object serves all steps: what an attempt keeps is in `frame.state`. Errors are raised
    (StepFailed, Raised, Stopped)."""

    instant: ClassVar[bool] = False
    """It ends where it begins: without a policy its steps need no state of their own."""

    @abstractmethod
    def enter(self, run: Run, frame: StepFrame) -> object:
        """Starts an attempt. Returns the step's value, or BLOCKED."""

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        """A block of the step ended with a value. Returns the step's value, or BLOCKED; without more, that is the
        step's own end."""
        return value

    def failed(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject) -> object:
        """A block of the step failed; without more, the step fails with the same error."""
        raise Raised(error)
