"""`run: flow-name` with `with:` and `detach:`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class RunFlow(Verb):
    name = "run"
    keys: ClassVar[Keys] = {"run": {"type": "string"}, "with": ANYTHING, "detach": {"type": "boolean"}}

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        name = reading.report.text(node.get("run"), "run") or ""
        if name and "${{" in name:
            reading.report.problem(node.get("run") or node, "run names a flow; it is not computed")
        elif name:
            reading.uses.calls.append((name, node))
        detach = node.get("detach")
        if detach is not None and not isinstance(detach.value, bool):
            reading.report.problem(detach, "detach is true or false")
        arguments = node.get("with") or Node("map", node.line, node.column)
        return Read(
            plan.RunFlow(name, reading.computed.template(arguments, visible), bool(detach and detach.value is True))
        )
