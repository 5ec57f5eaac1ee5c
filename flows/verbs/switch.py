"""`switch` / `cases` / `default`."""

from __future__ import annotations

from typing import Any, ClassVar

from flows.blocks import Arms
from flows.computed import Literal
from flows.context import Reading
from flows.nodes import Node, parse_documents
from flows.verbs import EXPRESSION, STEPS, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Switch(Verb):
    name = "switch"
    keys: ClassVar[Keys] = {
        "switch": EXPRESSION,
        "cases": {"type": "object", "additionalProperties": STEPS},
        "default": STEPS,
    }
    required = ("cases",)

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        test = node.get("switch")
        value = reading.computed.expression(test, visible, "switch") if test is not None else None
        cases: dict[tuple[str, Any], plan.Block] = {}
        joined = Arms(reading)
        listed = node.get("cases")
        if listed is None:
            reading.report.problem(node, "a `switch` needs `cases`")
        elif reading.report.expect(listed, "map", "cases"):
            for name, (key, steps) in listed.entries.items():
                cases[_key(key)] = joined.read(steps, visible, f"cases/{name}")
        default = None
        last = node.get("default")
        if last is not None:
            default = joined.read(last, visible, "default")
        return Read(
            plan.Switch(value or Literal(None, node.line), cases, default),
            *joined.seen(exhaustive=last is not None),
        )


def _key(node: Node) -> tuple[str, Any]:
    """Quoted keys are strings; plain ones are what YAML says they are."""
    value: Any = node.value
    if node.style is None and isinstance(value, str):
        documents, _ = parse_documents(value, "")
        value = documents[0].value if documents and documents[0].kind == "scalar" else value
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    return ("string", value)
