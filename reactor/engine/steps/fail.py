"""`fail`: fails the step with an error of the flow's own."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.engine.state import Run, StepFrame
from reactor.engine.steps import Verb


class Fail(Verb):
    instant = True

    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Fail = frame.step.body
        names = frame.scope.names
        details = body.details.render(names)
        raise StepFailed(
            str(body.type.render(names)),
            str(body.message.render(names)),
            details=details if isinstance(details, dict) else {"value": details} if details is not None else {},
        )
