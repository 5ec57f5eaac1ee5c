"""How the daemon is, and the options that hold."""

from __future__ import annotations

from typing import Literal

from reactor.server.answers.shape import Shape


class Health(Shape):
    """`store` is why it does not accept."""

    status: Literal["ok", "failing"]
    store: str | None


class Readiness(Shape):
    status: Literal["ready", "not ready"]
    version: str
    store: str
    """`ok`, or why it does not accept."""
    flows: int
    flow_problems: int
    refused: dict[str, str]
    """Flows and files that have errors, with the error."""
    active_runs: int
    unreadable: int
    sources: dict[str, str]
    """Sources that do not listen or need a look, with the reason."""
    connections: dict[str, str | None]
    """Connections that are lost, with the reason."""


class OptionValue(Shape):
    value: object
    origin: str
    """`flag`, a variable's name, the file's name or `default`."""


class Configuration(Shape):
    """The options that hold, and the directory that relative paths start at."""

    directory: str
    options: dict[str, OptionValue]
