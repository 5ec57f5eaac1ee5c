"""`emit: type` with `data:`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan
from reactor.contracts.event import RESERVED_PREFIX


class Emit(Verb):
    name = "emit"
    keys: ClassVar[Keys] = {"emit": {"type": "string"}, "data": ANYTHING}

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        given = node.get("emit") or node
        type = reading.report.text(given, "emit") or ""
        if type.startswith(RESERVED_PREFIX):
            reading.report.problem(given, f"types that begin with {RESERVED_PREFIX} are the daemon's own")
        if "${{" not in type:
            reading.uses.emits.append(type)
        data = node.get("data") or Node("scalar", node.line, node.column)
        return Read(plan.Emit(reading.computed.template(given, visible), reading.computed.template(data, visible)))
