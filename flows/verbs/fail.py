"""`fail: message` and `fail: {type, message, details}`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.expressions.template import Rendered
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan

VERB = "fail"
SCHEMA: dict[str, Any] = {
    "fail": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "message": {"type": "string"},
                    "details": ANYTHING,
                },
                "additionalProperties": False,
            },
        ]
    }
}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    given = node.get("fail") or node
    type = Rendered(lambda names: "fail", [], "fail")
    message = Rendered(lambda names: "failed by the flow", [], "failed by the flow")
    details = Rendered(lambda names: None, [])
    if given.kind == "map":
        reading.unknown(given, ("type", "message", "details"), "fail")
        for key, (_, value) in given.entries.items():
            if key == "type":
                type = reading.template(value, visible)
            elif key == "message":
                message = reading.template(value, visible)
            elif key == "details":
                details = reading.template(value, visible)
    elif reading.text(given, "fail"):
        message = reading.template(given, visible)
    return Read(plan.Fail(type, message, details))
