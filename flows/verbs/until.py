"""`until` / `do` / `max`: the condition sees the turn that just ended."""

from __future__ import annotations

from typing import ClassVar

from flows.blocks import read_loop, turn_limit
from flows.computed import Literal
from flows.context import Reading
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Until(Verb):
    name = "until"
    keys: ClassVar[Keys] = {"until": EXPRESSION, "do": STEPS, "max": {"type": "integer", "minimum": 1}}
    required = ("do", "max")
    loops = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        inner = visible.plus("index")
        block, seen = read_loop(reading, node, inner, False)
        test = node.get("until")
        condition = reading.computed.expression(test, inner.after(*seen), "until") if test is not None else None
        return Read(
            plan.Until(condition or Literal(True, node.line), block, turn_limit(reading.report, node, self.name))
        )
