"""`run`: a sub-flow. Its start is in the append that asks for it; its end wakes this run in one transaction."""

from __future__ import annotations

from reactor.engine.phases import StepPhase
from reactor.engine.state import BLOCKED, Run, StepFrame
from reactor.engine.steps import Verb


class RunFlow(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        frame.phase = StepPhase.child_start
        run.open[frame.path] = frame
        return BLOCKED
