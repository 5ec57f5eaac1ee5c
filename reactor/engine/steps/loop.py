"""`while` (tested before each turn) and `until` (tested after); both end at `max` turns with an error."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.contracts.errors import ErrorObject, StepFailed
from reactor.engine.state import BLOCKED, BlockFrame, Raised, Run, StepFrame, push


class Loop:
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Loop = frame.step.body
        frame.state = 0
        if not body.until and not body.condition.evaluate({**frame.scope.names, "index": 0}):
            return None
        return self._turn(run, frame)

    def _turn(self, run: Run, frame: StepFrame) -> object:
        body: plan.Loop = frame.step.body
        index: int = frame.state
        if index >= body.limit:
            word = "until" if body.until else "while"
            raise StepFailed("limit", f"{word}: {body.limit:,} turns made, and still {body.condition.source}")
        frame.state = index + 1
        push(run, frame, body.do, f"{frame.path}/turns/{index}", frame.scope.turn(False, index=index), index)
        return BLOCKED

    def ended(self, run: Run, frame: StepFrame, block: BlockFrame, value: object) -> object:
        body: plan.Loop = frame.step.body
        frame.children.clear()
        if body.until:
            if body.condition.evaluate(block.scope.names):
                return value
        elif not body.condition.evaluate({**frame.scope.names, "index": frame.state}):
            return value
        return self._turn(run, frame)

    def failed(self, run: Run, frame: StepFrame, block: BlockFrame, error: ErrorObject) -> object:
        raise Raised(error)
