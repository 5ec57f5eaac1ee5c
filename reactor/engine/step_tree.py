"""The tree of steps that people see, drawn by folding the journal once more with a pen in hand."""

from __future__ import annotations

from reactor.contracts.errors import ErrorObject
from reactor.engine.phases import StepStatus


class Node:
    """One step as shown."""

    __slots__ = (
        "attempts",
        "children",
        "ended",
        "error",
        "id",
        "name",
        "path",
        "result",
        "started",
        "status",
        "verb",
    )

    def __init__(self, path: str, id: str | None, name: str | None, verb: str, at: float) -> None:
        self.path = path
        self.id = id
        self.name = name
        self.verb = verb
        self.status = StepStatus.running
        self.attempts = 1
        self.started = at
        self.ended: float | None = None
        self.result: object = None
        self.error: ErrorObject | None = None
        self.children: list[Node] = []


class StepTree:
    """Collects nodes by path; a step that is entered again (a block's next attempt) starts its node anew."""

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self.nodes: dict[str, Node] = {}

    def entered(self, parent: str | None, path: str, id: str | None, name: str | None, verb: str, at: float) -> None:
        node = Node(path, id, name, verb, at)
        siblings = self.nodes[parent].children if parent in self.nodes else self.roots
        known = self.nodes.get(path)
        if known is not None and known in siblings:
            siblings[siblings.index(known)] = node
        else:
            siblings.append(node)
        self.nodes[path] = node

    def attempt(self, path: str, attempt: int) -> None:
        self.nodes[path].attempts = attempt

    def status(self, path: str, status: StepStatus, error: ErrorObject | None = None) -> None:
        node = self.nodes[path]
        node.status = status
        node.error = error

    def ended(
        self, path: str, status: StepStatus, at: float, result: object = None, error: ErrorObject | None = None
    ) -> None:
        node = self.nodes.get(path)
        if node is not None:
            node.status, node.ended, node.result, node.error = status, at, result, error
