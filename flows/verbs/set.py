"""`set: {a: …}`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import VARIABLE, Visible
from reactor.contracts import plan


class Set(Verb):
    name = "set"
    keys: ClassVar[Keys] = {"set": {"type": "object", "additionalProperties": ANYTHING}}

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        values = node.get("set")
        if not reading.report.expect(values, "map", "set"):
            return Read(plan.Set(()))
        assert values is not None
        pairs = []
        for name, (key, value) in values.entries.items():
            if not VARIABLE.fullmatch(name):
                reading.report.problem(key, f"{name!r} is no name; letters, digits and _ are")
            elif name in reading.names.shared_variables and visible.turns_at_once:
                reading.report.problem(
                    key,
                    f"turns run at once here, so vars.{name}, which the flow sets outside, cannot be written;"
                    " use another name, or the value of the loop",
                )
            pairs.append((name, reading.computed.template(value, visible)))
        return Read(plan.Set(tuple(pairs)))
