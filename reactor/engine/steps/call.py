"""`call`: an effect, performed by the runner between two entries."""

from __future__ import annotations

from reactor.engine.phases import CALL
from reactor.engine.state import BLOCKED, Run, StepFrame
from reactor.engine.steps import Verb


class Call(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        frame.phase = CALL
        frame.begun = 0
        run.open[frame.path] = frame
        return BLOCKED
