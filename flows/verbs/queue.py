"""`queue: name` with `data:`."""

from __future__ import annotations

import re
from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import ANYTHING, Read
from reactor.contracts import plan

VERB = "queue"
SCHEMA: dict[str, Any] = {"queue": {"type": "string", "description": "a named durable queue"}, "data": ANYTHING}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    given = node.get("queue") or node
    name = reading.text(given, "queue") or ""
    if "${{" not in name and name and not NAME.fullmatch(name):
        reading.problem(given, f"the queue {name!r} is not made of a-z, 0-9, ., _ and -")
    data = node.get("data") or Node("scalar", node.line, node.column)
    return Read(plan.Queue(reading.template(given, visible), reading.template(data, visible)))
