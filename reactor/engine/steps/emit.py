"""`emit`: publishes an event into the router, in the append that has the step's end."""

from __future__ import annotations

from reactor.engine.phases import StepPhase
from reactor.engine.state import BLOCKED, Run, StepFrame
from reactor.engine.steps import Verb


class Emit(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        frame.phase = StepPhase.emit
        run.open[frame.path] = frame
        return BLOCKED
