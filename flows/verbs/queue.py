"""`queue: name` with `data:`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan
from reactor.contracts.store import QUEUE_NAME

VERB = "queue"
SCHEMA: dict[str, Any] = {"queue": {"type": "string", "description": "a named durable queue"}, "data": ANYTHING}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    given = node.get("queue") or node
    name = reading.text(given, "queue") or ""
    if "${{" not in name and name and not QUEUE_NAME.fullmatch(name):
        reading.problem(given, f"the queue {name!r} is not made of a-z, 0-9, ., _ and -")
    data = node.get("data") or Node("scalar", node.line, node.column)
    return Read(plan.Queue(reading.template(given, visible), reading.template(data, visible)))
