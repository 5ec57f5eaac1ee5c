"""What a flow uses of what others give: secrets, environment, connections, collections, other flows, actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from flows.nodes import Node
from flows.report import Report
from reactor.contracts.kinds import AnyAction, AnyTrigger


class ConnectionUse(NamedTuple):
    """A connection that an option names."""

    value: str
    """Its name, or a URL."""
    kinds: tuple[str, ...]
    """The kinds of connections that fit."""
    node: Node


class CollectionUse(NamedTuple):
    """A collection that an option names."""

    name: str
    node: Node


@dataclass
class Uses:
    """Collected while a flow is read. Whether what is named here exists shows when all files are read."""

    environment: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    calls: list[tuple[str, Node]] = field(default_factory=list)
    """The flows that `run` names, with the steps."""
    emits: list[str] = field(default_factory=list)
    """Types of events that it may publish."""
    actions: list[str] = field(default_factory=list)
    connections: list[ConnectionUse] = field(default_factory=list)
    collections: list[CollectionUse] = field(default_factory=list)
    responds: bool = False
    """Whether a step answers the request that started the run."""

    def connection(
        self, report: Report, kind: type[AnyAction] | type[AnyTrigger], node: Node | None, what: str
    ) -> None:
        """Notes the `connection` option of a kind that takes one."""
        wanted = kind.connection_kinds
        given = node.get("connection") if wanted and node is not None and node.kind == "map" else None
        if wanted and given is None and node is not None:
            usual = next((f.default for f in msgspec.structs.fields(kind.Options) if f.name == "connection"), None)
            if isinstance(usual, str):
                self.connections.append(ConnectionUse(usual, wanted, Node("scalar", node.line, node.column)))
        if given is None or not isinstance(given.value, str):
            return
        if "${{" in given.value:
            report.problem(given, f"{what}: connection is a name, written out: what an event says never chooses it")
        else:
            self.connections.append(ConnectionUse(given.value, wanted, given))

    def collection(self, action: type[AnyAction], node: Node) -> None:
        """Notes the `collection` option of an action that takes one."""
        given = node.get("collection") if action.uses_collection and node.kind == "map" else None
        if given is not None and isinstance(given.value, str) and "${{" not in given.value:
            self.collections.append(CollectionUse(given.value, given))
