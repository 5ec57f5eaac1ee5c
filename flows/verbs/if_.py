"""`if` / `then` / `elif` / `else`."""

from __future__ import annotations

from typing import ClassVar

from flows.blocks import Arms
from flows.computed import Literal
from flows.context import Reading
from flows.nodes import Node
from flows.verbs import EXPRESSION, STEPS, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class If(Verb):
    name = "if"
    keys: ClassVar[Keys] = {
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
    required = ("then",)

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        arms: list[tuple[plan.Expression, plan.Block]] = []
        joined = Arms(reading)

        def arm(holder: Node, suffix: str) -> None:
            test, then = holder.get("if"), holder.get("then")
            condition: plan.Expression | None = Literal(False, holder.line)
            if test is not None:
                condition = reading.computed.expression(test, visible, "if")
            if then is None:
                reading.report.problem(holder, "an `if` needs `then`, a list of steps")
            block = joined.read(then, visible, suffix)
            if condition is not None:
                arms.append((condition, block))

        arm(node, "then")
        others = node.get("elif")
        if others is not None and reading.report.expect(others, "list", "elif"):
            for index, other in enumerate(others.items):
                if reading.report.expect(other, "map", "an arm of elif"):
                    if other.get("if") is None:
                        reading.report.problem(other, "an arm of elif needs `if`")
                    reading.report.unknown(other, ("if", "then"), "an arm of elif")
                    arm(other, f"elif/{index}")
        otherwise = None
        last = node.get("else")
        if last is not None:
            otherwise = joined.read(last, visible, "else")
        return Read(plan.If(tuple(arms), otherwise), *joined.seen(exhaustive=last is not None))
