"""`wait: 5m` and `wait: {at: expr}`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.expressions.template import Rendered
from flows.nodes import Node
from flows.verbs import DURATION, EXPRESSION, Read
from reactor.contracts import plan

VERB = "wait"
SCHEMA: dict[str, Any] = {
    "wait": {
        "anyOf": [
            {"type": "string", "pattern": rf"^{DURATION}$|\$\{{\{{"},
            {"type": "number", "minimum": 0},
            {
                "type": "object",
                "properties": {"at": EXPRESSION},
                "required": ["at"],
                "additionalProperties": False,
            },
        ]
    }
}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    given = node.get("wait") or node
    if given.kind == "map":
        if given.get("event") is not None:
            reading.problem(
                given, "waiting for an event is not in this version of Reactor; `wait` takes a time or `at`"
            )
            return Read(plan.Wait(Rendered(lambda names: 0, []), None))
        reading.unknown(given, ("at",), "wait")
        at = given.get("at")
        if at is None:
            reading.problem(given, "wait is a duration such as 5m, or `at` with a moment")
            return Read(plan.Wait(Rendered(lambda names: 0, []), None))
        return Read(plan.Wait(None, reading.expression(at, visible, "at")))
    if isinstance(given.value, str) and "${{" in given.value:
        return Read(plan.Wait(reading.template(given, visible), None))
    seconds = reading.duration(given, "wait") or 0.0
    return Read(plan.Wait(Rendered(lambda names: seconds, [], seconds), None))
