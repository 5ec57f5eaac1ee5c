"""`try`: a scope. Its `on_error` is the step's own policy; `finally` runs after body and handlers."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import BLOCKED, Run, StepFrame, push
from reactor.engine.steps import Verb


class Try(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Try = frame.step.body
        push(run, frame, body.do, f"{frame.path}/try", frame.scope)
        return BLOCKED
