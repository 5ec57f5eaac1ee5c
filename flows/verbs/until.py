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
SCHEMA: dict[str, Any] = {"until": EXPRESSION, "do": STEPS, "max": {"type": "integer", "minimum": 1}}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import read_block, read_loop

    inner = visible.plus("index")
    block = read_loop(reading, node, inner, False)
    quiet = len(reading.problems)
    taken, calls, emits, actions = (
        dict(reading.taken),
        len(reading.calls),
        len(reading.emits),
        len(reading.actions),
    )
    reading.taken = {}
    _, (certain, possible) = read_block(reading, node.get("do"), inner, "do")
    del reading.problems[quiet:], reading.calls[calls:], reading.emits[emits:], reading.actions[actions:]
    reading.taken = taken
    seen = replace(inner, certain=inner.certain | certain, possible=inner.possible | possible)
    test = node.get("until")
    condition = reading.expression(test, seen, "until") if test is not None else None
    return Read(plan.Loop(condition or Literal(True, node.line), block, turns(reading, node, "until"), True))
