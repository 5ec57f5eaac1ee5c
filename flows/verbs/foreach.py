"""`foreach` / `as` / `do` / `at_once`."""

from __future__ import annotations

from typing import ClassVar

from flows.blocks import read_loop
from flows.computed import Literal
from flows.context import Reading
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Keys, Read, Verb
from flows.visible import Visible, is_name
from reactor.contracts import plan


class Foreach(Verb):
    name = "foreach"
    keys: ClassVar[Keys] = {
        "foreach": {"anyOf": [EXPRESSION, {"type": "array"}, {"type": "object"}]},
        "as": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "do": STEPS,
        "at_once": {"type": "integer", "minimum": 1, "maximum": 1000},
    }
    required = ("do",)
    loops = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        listed = node.get("foreach")
        items = reading.computed.expression(listed, visible, "foreach") if listed is not None else None
        name = "item"
        given = node.get("as")
        if given is not None:
            name = reading.report.text(given, "as") or "item"
            is_name(reading.report, given, name, "as")
        at_once = reading.report.whole(node.get("at_once"), "at_once", 1, 1000, 1)
        block, _ = read_loop(reading, node, visible.plus(name, "index", "key"), at_once > 1)
        return Read(plan.Foreach(items or Literal([], node.line), name, block, at_once))
