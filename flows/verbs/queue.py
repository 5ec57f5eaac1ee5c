"""`queue: name` with `data:`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan
from reactor.contracts.store import QUEUE_NAME


class Queue(Verb):
    name = "queue"
    keys: ClassVar[Keys] = {"queue": {"type": "string", "description": "a named durable queue"}, "data": ANYTHING}

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        given = node.get("queue") or node
        name = reading.report.text(given, "queue") or ""
        if "${{" not in name and name and not QUEUE_NAME.fullmatch(name):
            reading.report.problem(given, f"the queue {name!r} is not made of a-z, 0-9, ., _ and -")
        data = node.get("data") or Node("scalar", node.line, node.column)
        return Read(plan.Queue(reading.computed.template(given, visible), reading.computed.template(data, visible)))
