"""`until` / `do` / `max`: the condition sees the turn that just ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flows.context import Literal, Reading, Visible
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Read
from flows.verbs.while_ import turns
from reactor.contracts import plan

VERB = "until"
REQUIRED = ("do", "max")
SCHEMA: dict[str, Any] = {"until": EXPRESSION, "do": STEPS, "max": {"type": "integer", "minimum": 1}}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import read_loop

    inner = visible.plus("index")
    block, (certain, possible) = read_loop(reading, node, inner, False)
    seen = replace(inner, certain=inner.certain | certain, possible=inner.possible | possible)
    test = node.get("until")
    condition = reading.expression(test, seen, "until") if test is not None else None
    return Read(plan.Loop(condition or Literal(True, node.line), block, turns(reading, node, "until"), True))
