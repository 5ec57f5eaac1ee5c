"""`queue`: pushes onto a durable queue, in the append that has the step's end."""

from __future__ import annotations

from reactor.engine.phases import StepPhase
from reactor.engine.state import BLOCKED, Run, StepFrame
from reactor.engine.steps import Verb


class Queue(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        frame.phase = StepPhase.queue
        run.open[frame.path] = frame
        return BLOCKED
