"""`respond`: the answer to the HTTP request that started the run. Only the first one counts."""

from __future__ import annotations

import re

from reactor.contracts import plan
from reactor.contracts.errors import StepFailed
from reactor.engine.state import Run, StepFrame
from reactor.engine.steps import Verb

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What RFC 9110 (5.1, 5.5) lets a header be called, and what no value may hold."""


class Respond(Verb):
    instant = True

    def enter(self, run: Run, frame: StepFrame) -> object:
        body: plan.Respond = frame.step.body
        names = frame.scope.names
        status = body.status.render(names)
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise StepFailed("expression", f"respond: the status is a number from 200 to 599, not {status!r}")
        headers = body.headers.render(names) or {}
        for name, value in headers.items():
            if not isinstance(value, (str, int, float)) or not _NAME.fullmatch(name) or _CONTROL.search(str(value)):
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
