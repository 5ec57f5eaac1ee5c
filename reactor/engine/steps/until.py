"""`until`: the condition is tested after each turn, and sees what that turn made."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import BlockFrame, Run, StepFrame
from reactor.engine.steps.loop import Loop


class Until(Loop):
    def enter(self, run: Run, frame: StepFrame) -> object:
        frame.state = 0
        return self.turn(run, frame)

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        body: plan.Until = frame.step.body
        frame.children.clear()
        if body.condition.evaluate(block.scope.names):
            return value
        return self.turn(run, frame)
