"""`wait`: a durable delay, or until a moment. The due time is data; no task waits."""

from __future__ import annotations

import datetime

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.engine.phases import StepPhase, TimerKind
from reactor.engine.state import BLOCKED, Run, StepFrame
from reactor.engine.steps import Verb
from reactor.kit.durations import DurationError, parse_duration


class Wait(Verb):
    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Wait = frame.step.body
        kind: TimerKind = "wake" if body.seconds is not None else "until"
        if body.seconds is not None:
            due = run.now + _seconds(body.seconds.render(frame.scope.names))
        else:
            assert body.moment is not None
            due = _moment(body.moment.evaluate(frame.scope.names))
        if due <= run.now:
            return None
        frame.phase = StepPhase.wait
        run.timers[(frame.path, kind)] = due
        return BLOCKED


def _seconds(value: object) -> float:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except DurationError as error:
            raise StepFailed("expression", f"wait: {error}") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise StepFailed("expression", f"wait: {value!r} is no duration")


def _moment(value: object) -> float:
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value.strip())
        except ValueError:
            raise StepFailed("expression", f"wait at: {value!r} is no RFC 3339 timestamp") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise StepFailed("expression", f"wait at: {value!r} is no RFC 3339 timestamp")
