"""`stop`: ends the run well or as cancelled, from inside branches too."""

from __future__ import annotations

from reactor.contracts import plan
from reactor.contracts.run import Status
from reactor.engine.state import Run, StepFrame, Stopped
from reactor.engine.steps import Verb


class Stop(Verb):
    instant = True

    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Stop = frame.step.body
        raise Stopped(Status.succeeded if body.status == "success" else Status.cancelled)
