"""`foreach` / `as` / `do` / `at_once`."""

from __future__ import annotations

from typing import Any

from flows.context import Literal, Reading, Visible
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Read
from reactor.contracts import plan

VERB = "foreach"
REQUIRED = ("do",)
SCHEMA: dict[str, Any] = {
    "foreach": {"anyOf": [EXPRESSION, {"type": "array"}, {"type": "object"}]},
    "as": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
    "do": STEPS,
    "at_once": {"type": "integer", "minimum": 1, "maximum": 1000},
}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import read_loop, valid_name

    listed = node.get("foreach")
    items = reading.expression(listed, visible, "foreach") if listed is not None else None
    name = "item"
    given = node.get("as")
    if given is not None:
        name = reading.text(given, "as") or "item"
        valid_name(reading, given, name, "as")
    at_once = reading.whole(node.get("at_once"), "at_once", 1, 1000, 1)
    block, _ = read_loop(reading, node, visible.plus(name, "index", "key"), at_once > 1)
    return Read(plan.Foreach(items or Literal([], node.line), name, block, at_once))
