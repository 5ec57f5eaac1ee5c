"""What events come from and go to: sources, connections, plugins."""

from __future__ import annotations

from typing import Any

from reactor.contracts.states import ConnectionState, PluginState, SourceState
from reactor.server.answers.shape import Shape


class Trigger(Shape):
    """One source, and the flows that it is shared by."""

    source: str
    kind: str
    state: SourceState
    error: str | None
    warning: str | None
    failures: int
    flows: list[str]
    options: dict[str, Any]


class TriggerPage(Shape):
    items: list[Trigger]
    next: str | None


class Connection(Shape):
    """Name, kind and health; no settings. One without a file was given as a URL."""

    name: str
    kind: str
    state: ConnectionState
    error: str | None
    users: int
    file: str | None


class ConnectionPage(Shape):
    items: list[Connection]
    next: str | None


class ConnectionCheck(Shape):
    name: str
    ok: bool
    error: str | None


class Plugin(Shape):
    name: str
    version: str
    summary: str
    protocol: str
    state: PluginState
    error: str | None
    restarts: int
    calls: int
    folder: str
    hash: str
    actions: list[str]
    triggers: list[str]


class PluginPage(Shape):
    items: list[Plugin]
    next: str | None
