"""`while`: the condition is tested before each turn."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import BlockFrame, Run, StepFrame
from reactor.engine.steps.loop import Loop


class While(Loop):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.While = frame.step.body
        frame.state = 0
        if not body.condition.evaluate({**frame.scope.names, "index": 0}):
            return None
        return self.turn(run, frame)

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        body: plan.While = frame.step.body
        frame.children.clear()
        if not body.condition.evaluate({**frame.scope.names, "index": frame.state}):
            return value
        return self.turn(run, frame)
