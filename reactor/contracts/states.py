"""How sources, connections, plugins and flows are, in the words that the API says."""

from __future__ import annotations

import enum


class SourceState(enum.StrEnum):
    """`disconnected`: its other side is gone. `not ready`: what it reads is not there. `crashed`: a defect. `waiting`:
    another daemon on the same store reads it."""

    starting = "starting"
    listening = "listening"
    disconnected = "disconnected"
    not_ready = "not ready"
    crashed = "crashed"
    waiting = "waiting"
    stopped = "stopped"


class ConnectionState(enum.StrEnum):
    """`idle`: nobody has used it yet."""

    idle = "idle"
    connected = "connected"
    disconnected = "disconnected"


class PluginState(enum.StrEnum):
    """`down`: its program ended or its address does not answer; it is tried again."""

    starting = "starting"
    up = "up"
    down = "down"
    stopped = "stopped"


class FlowState(enum.StrEnum):
    """`refused`: its file has errors, and the version that ran before runs on. `problems`: a file of which nothing
    runs."""

    enabled = "enabled"
    disabled = "disabled"
    refused = "refused"
    problems = "problems"
