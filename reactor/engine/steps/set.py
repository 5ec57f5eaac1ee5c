"""`set`: names are computed from top to bottom, each seeing those before it."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.engine.state import Run, StepFrame
from reactor.engine.steps import Verb


class Set(Verb):
    instant = True

    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Set = frame.step.body
        scope = frame.scope
        result = {}
        for name, template in body.values:
            value = template.render(scope.names)
            scope.write(name, value)
            result[name] = value
        return result
