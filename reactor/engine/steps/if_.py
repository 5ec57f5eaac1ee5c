"""`if` / `elif` / `else`: the first arm whose condition holds."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import BLOCKED, Run, StepFrame, push
from reactor.engine.steps import Verb


class If(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.If = frame.step.body
        for condition, block in body.arms:
            if condition.evaluate(frame.scope.names):
                push(run, frame, block, f"{frame.path}/{block.suffix}", frame.scope)
                return BLOCKED
        if body.otherwise is not None:
            push(run, frame, body.otherwise, f"{frame.path}/else", frame.scope)
            return BLOCKED
        return None
