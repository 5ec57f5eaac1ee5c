"""`while` / `do` / `max`."""

from __future__ import annotations

from typing import ClassVar

from flows.blocks import read_loop, turn_limit
from flows.computed import Literal
from flows.context import Reading
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class While(Verb):
    name = "while"
    keys: ClassVar[Keys] = {"while": EXPRESSION, "do": STEPS, "max": {"type": "integer", "minimum": 1}}
    required = ("do", "max")
    loops = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        test = node.get("while")
        condition = reading.computed.expression(test, visible.plus("index"), "while") if test is not None else None
        block, _ = read_loop(reading, node, visible.plus("index"), False)
        return Read(
            plan.While(condition or Literal(False, node.line), block, turn_limit(reading.report, node, self.name))
        )
