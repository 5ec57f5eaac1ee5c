"""`respond: {status, headers, json/text/body}`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.expressions.template import Rendered
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan

BODIES = ("json", "text", "body")


class Respond(Verb):
    name = "respond"
    keys: ClassVar[Keys] = {
        "respond": {
            "type": "object",
            "properties": {
                "status": {"type": ["integer", "string"]},
                "headers": {"type": "object"},
                "json": ANYTHING,
                "text": ANYTHING,
                "body": ANYTHING,
            },
            "additionalProperties": False,
        }
    }

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        reading.uses.responds = True
        given = node.get("respond")
        nothing = Rendered(lambda names: None, [])
        if given is None or not reading.report.expect(given, "map", "respond"):
            return Read(plan.Respond(Rendered(lambda names: 200, [], 200), nothing, "none", nothing))
        reading.report.unknown(given, ("status", "headers", *BODIES), "respond")
        kinds = [kind for kind in BODIES if kind in given.entries]
        if len(kinds) > 1:
            reading.report.problem(given, f"respond has one body: {' or '.join(kinds)}")
        status_node = given.get("status")
        status = Rendered(lambda names: 200, [], 200)
        if status_node is not None:
            status = reading.computed.template(status_node, visible)
            value = status_node.value
            if "${{" not in str(value) and (not isinstance(value, int) or not 200 <= value <= 599):
                reading.report.problem(status_node, f"the status is a number from 200 to 599, not {value!r}")
        headers_node = given.get("headers")
        headers = nothing
        if headers_node is not None and reading.report.expect(headers_node, "map", "headers"):
            headers = reading.computed.template(headers_node, visible)
        content = reading.computed.template(given.entries[kinds[0]][1], visible) if kinds else nothing
        return Read(plan.Respond(status, headers, kinds[0] if kinds else "none", content))
