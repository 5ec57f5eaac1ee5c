"""`stop: success` and `stop: cancelled`."""

from __future__ import annotations

from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.verbs import Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan


class Stop(Verb):
    name = "stop"
    keys: ClassVar[Keys] = {"stop": {"enum": ["success", "cancelled"]}}
    ends = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        return Read(plan.Stop(reading.report.choice(node.get("stop"), "stop", ("success", "cancelled"), "success")))
