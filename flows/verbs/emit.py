"""`emit: type` with `data:`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan
from reactor.contracts.event import RESERVED_PREFIX

VERB = "emit"
SCHEMA: dict[str, Any] = {"emit": {"type": "string"}, "data": ANYTHING}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    given = node.get("emit") or node
    type = reading.text(given, "emit") or ""
    if type.startswith(RESERVED_PREFIX):
        reading.problem(given, f"types that begin with {RESERVED_PREFIX} are the daemon's own")
    if "${{" not in type:
        reading.emits.append(type)
    data = node.get("data") or Node("scalar", node.line, node.column)
    return Read(plan.Emit(reading.template(given, visible), reading.template(data, visible)))
