"""The turns of `while` and `until`, which end at `max` turns with an error."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.engine.state import BLOCKED, Run, StepFrame, push
from reactor.engine.steps import Verb


class Loop(Verb):
    """`frame.state` is the number of turns begun."""

    def turn(self, run: Run, frame: StepFrame) -> object:
        body: plan.While | plan.Until = frame.step.body
        index: int = frame.state
        if index >= body.limit:
            word = frame.step.verb
            raise StepFailed("limit", f"{word}: {body.limit:,} turns made, and still {body.condition.source}")
        frame.state = index + 1
        push(run, frame, body.do, f"{frame.path}/turns/{index}", frame.scope.turn(False, index=index), index)
        return BLOCKED
