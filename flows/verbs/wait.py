"""`wait: 5m` and `wait: {at: expr}`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.expressions.template import Rendered
from flows.nodes import Node
from flows.verbs import DURATION, EXPRESSION, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Wait(Verb):
    name = "wait"
    keys: ClassVar[Keys] = {
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

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        given = node.get("wait") or node
        if given.kind == "map":
            if given.get("event") is not None:
                reading.report.problem(
                    given, "waiting for an event is not in this version of Reactor; `wait` takes a time or `at`"
                )
                return Read(plan.Wait(Rendered(lambda names: 0, []), None))
            reading.report.unknown(given, ("at",), "wait")
            at = given.get("at")
            if at is None:
                reading.report.problem(given, "wait is a duration such as 5m, or `at` with a moment")
                return Read(plan.Wait(Rendered(lambda names: 0, []), None))
            return Read(plan.Wait(None, reading.computed.expression(at, visible, "at")))
        if isinstance(given.value, str) and "${{" in given.value:
            return Read(plan.Wait(reading.computed.template(given, visible), None))
        seconds = reading.report.duration(given, "wait") or 0.0
        return Read(plan.Wait(Rendered(lambda names: seconds, [], seconds), None))
