"""`set: {a: …}`."""

from __future__ import annotations

import re
from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan

VERB = "set"
SCHEMA: dict[str, Any] = {"set": {"type": "object", "additionalProperties": ANYTHING}}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    values = node.get("set")
    if not reading.expect(values, "map", "set"):
        return Read(plan.Set(()))
    assert values is not None
    pairs = []
    for name, (key, value) in values.entries.items():
        if not NAME.fullmatch(name):
            reading.problem(key, f"{name!r} is no name; letters, digits and _ are")
        elif name in reading.outer_writes and reading.turn_locals:
            reading.problem(
                key,
                f"turns run at once here, so vars.{name}, which the flow sets outside, cannot be written;"
                " use another name, or the value of the loop",
            )
        pairs.append((name, reading.template(value, visible)))
    return Read(plan.Set(tuple(pairs)))
