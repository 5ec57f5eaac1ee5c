"""`try: [steps]`, with the step's own `on_error` and `finally`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import STEPS, Read
from reactor.contracts import plan

VERB = "try"
SCHEMA: dict[str, Any] = {"try": STEPS, "finally": STEPS}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import read_block

    block, (certain, possible) = read_block(reading, node.get("try"), visible, "try")
    last = None
    last_node = node.get("finally")
    if last_node is not None:
        seen = replace(visible, possible=visible.possible | certain | possible)
        last, (more, maybe) = read_block(reading, last_node, seen, "finally")
        certain, possible = certain | more, possible | maybe
    if node.get("on_error") is None and last is None:
        reading.problem(node, "a `try` needs `on_error` or `finally`", "warning")
    return Read(plan.Try(block, last), certain, possible)
