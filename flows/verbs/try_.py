"""`try: [steps]`, with the step's own `on_error` and `finally`."""

from __future__ import annotations

from typing import ClassVar

from flows.blocks import read_block
from flows.context import Reading
from flows.nodes import Node
from flows.verbs import STEPS, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Try(Verb):
    name = "try"
    keys: ClassVar[Keys] = {"try": STEPS, "finally": STEPS}

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        block, (certain, possible) = read_block(reading, node.get("try"), visible, "try")
        closing = None
        finally_node = node.get("finally")
        if finally_node is not None:
            seen = visible.after(frozenset(), certain | possible)
            closing, (more, maybe) = read_block(reading, finally_node, seen, "finally")
            certain, possible = certain | more, possible | maybe
        if node.get("on_error") is None and closing is None:
            reading.report.problem(node, "a `try` needs `on_error` or `finally`", "warning")
        return Read(plan.Try(block, closing), certain, possible)
