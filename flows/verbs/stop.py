"""`stop: success` and `stop: cancelled`."""

from __future__ import annotations

from typing import Any

from flows.context import Reading, Visible
from flows.nodes import Node
from flows.verbs import Read
from reactor.contracts import plan

VERB = "stop"
SCHEMA: dict[str, Any] = {"stop": {"enum": ["success", "cancelled"]}}


def read(reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
    return Read(plan.Stop(reading.choice(node.get("stop"), "stop", ("success", "cancelled"), "success")))
