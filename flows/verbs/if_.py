"""`if` / `then` / `elif` / `else`."""

from __future__ import annotations

from typing import Any

from flows.context import Literal, Reading, Visible
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Read
from reactor.contracts import plan

VERB = "if"
REQUIRED = ("then",)
SCHEMA: dict[str, Any] = {
    "if": EXPRESSION,
    "then": STEPS,
    "elif": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"if": EXPRESSION, "then": STEPS},
            "required": ["if", "then"],
            "additionalProperties": False,
        },
    },
    "else": STEPS,
}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    from flows.steps import Arms

    arms: list[tuple[Any, plan.Block]] = []
    joined = Arms(reading)

    def arm(holder: Node, suffix: str) -> None:
        test, then = holder.get("if"), holder.get("then")
        condition = reading.expression(test, visible, "if") if test is not None else Literal(False, holder.line)
        if then is None:
            reading.problem(holder, "an `if` needs `then`, a list of steps")
        block = joined.read(then, visible, suffix)
        if condition is not None:
            arms.append((condition, block))

    arm(node, "then")
    others = node.get("elif")
    if others is not None and reading.expect(others, "list", "elif"):
        for index, other in enumerate(others.items):
            if reading.expect(other, "map", "an arm of elif"):
                if other.get("if") is None:
                    reading.problem(other, "an arm of elif needs `if`")
                reading.unknown(other, ("if", "then"), "an arm of elif")
                arm(other, f"elif/{index}")
    otherwise = None
    last = node.get("else")
    if last is not None:
        otherwise = joined.read(last, visible, "else")
    return Read(plan.If(tuple(arms), otherwise), *joined.seen(exhaustive=last is not None))
