"""`fail: message` and `fail: {type, message, details}`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.expressions.template import Rendered
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Fail(Verb):
    name = "fail"
    keys: ClassVar[Keys] = {
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
    ends = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        given = node.get("fail") or node
        type = Rendered(lambda names: "fail", [], "fail")
        message = Rendered(lambda names: "failed by the flow", [], "failed by the flow")
        details = Rendered(lambda names: None, [])
        if given.kind == "map":
            reading.report.unknown(given, ("type", "message", "details"), "fail")
            for key, (_, value) in given.entries.items():
                if key == "type":
                    type = reading.computed.template(value, visible)
                elif key == "message":
                    message = reading.computed.template(value, visible)
                elif key == "details":
                    details = reading.computed.template(value, visible)
        elif reading.report.text(given, "fail"):
            message = reading.computed.template(given, visible)
        return Read(plan.Fail(type, message, details))
