"""`respond`: the answer to the HTTP request that started the run. Only the first one counts."""

from __future__ import annotations

from typing import Any

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.engine.state import Run, StepFrame
from reactor.engine.steps import Plain


class Respond(Plain):
    def enter(self, run: Run, frame: StepFrame) -> Any:
        body: plan.Respond = frame.step.body
        names = frame.scope.names
        status = body.status.render(names)
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise StepFailed("expression", f"respond: the status is a number from 200 to 599, not {status!r}")
        headers = body.headers.render(names) or {}
        for name, value in headers.items():
            if not isinstance(value, (str, int, float)) or any(c in "\r\n\0" for c in f"{name}{value}"):
                raise StepFailed("expression", f"respond: the header {name!r} has no usable value")
        answer = {
            "status": status,
            "headers": {name: str(value) for name, value in headers.items()},
            "kind": body.kind,
            "content": body.content.render(names),
        }
        if run.response is None:
            run.response = answer
        return {"status": status}
