"""`run: flow-name` with `with:` and `detach:`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan

VERB = "run"
SCHEMA: dict[str, Any] = {"run": {"type": "string"}, "with": ANYTHING, "detach": {"type": "boolean"}}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    name = reading.text(node.get("run"), "run") or ""
    if name and "${{" in name:
        reading.problem(node.get("run") or node, "run names a flow; it is not computed")
    elif name:
        reading.calls.append((name, node))
    detach = node.get("detach")
    if detach is not None and not isinstance(detach.value, bool):
        reading.problem(detach, "detach is true or false")
    arguments = node.get("with") or Node("map", node.line, node.column)
    return Read(plan.RunFlow(name, reading.template(arguments, visible), bool(detach and detach.value is True)))
