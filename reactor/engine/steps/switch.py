"""`switch`: branches by value; cases compare by JSON kind and value."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import BLOCKED, Run, StepFrame, push
from reactor.engine.steps import Verb


def case_key(value: object) -> tuple[str, object]:
    """What a value is found under among the cases; lists and objects match none."""
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    if isinstance(value, str):
        return ("string", value)
    return ("other", None)


class Switch(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Switch = frame.step.body
        block = body.cases.get(case_key(body.value.evaluate(frame.scope.names)), body.default)
        if block is None:
            return None
        push(run, frame, block, f"{frame.path}/{block.suffix}", frame.scope)
        return BLOCKED
