"""`while` / `do` / `max`."""

from __future__ import annotations

from typing import Any

from flows.context import Literal, Reading, Visible
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Read
from reactor.contracts import plan

VERB = "while"
REQUIRED = ("do", "max")
SCHEMA: dict[str, Any] = {"while": EXPRESSION, "do": STEPS, "max": {"type": "integer", "minimum": 1}}
MAX_TURNS = 1_000_000


def turns(reading: Reading, node: Node, word: str) -> int:
    limit = node.get("max")
    if limit is None:
        reading.problem(node, f"`{word}` needs `max`, the number of turns after which it fails")
        return 1
    return reading.whole(limit, "max", 1, MAX_TURNS, 1)


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import read_loop

    test = node.get("while")
    condition = reading.expression(test, visible.plus("index"), "while") if test is not None else None
    block, _ = read_loop(reading, node, visible.plus("index"), False)
    return Read(plan.Loop(condition or Literal(False, node.line), block, turns(reading, node, "while"), False))
