"""What a plugin is to the host, whatever it speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from reactor.contracts.errors import StepFailed

PROTOCOL = 1
"""The version that we speak, in JSON-RPC and gRPC alike."""
CREDIT = 100
"""Events that a trigger may send before one is acknowledged."""
ENDED = "it ended"
"""Why a link is gone whose program is: whoever started it adds how it ended."""
MAX_ERROR = 64 * 1024
"""Characters of an error that are taken; what is stored is masked first, and cut then (`engine/perform.py`)."""
MAX_MESSAGE = 16 * 1024 * 1024
GRACE = 0.25
"""Seconds in which what a program that has ended still wrote is read: its children may hold its pipes for ever."""
HANDSHAKE = 20.0
"""Seconds in which a plugin answers the handshake."""


Publish = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes an event that a plugin sends by itself. Raises ValueError for what is not a valid event."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an action. `context` has run, flow, step, attempt, idempotency_key and deadline (seconds since the
    epoch, or null)."""

    action: str
    input: dict[str, Any]
    context: dict[str, Any]


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a trigger: its number in this listening, its content, and the cursor behind it."""

    number: int
    event: dict[str, Any]
    cursor: Any = None


class Listening(Protocol):
    """An open trigger."""

    def events(self) -> AsyncIterator[Happened]:
        """What happens, until the plugin ends it. Raises NotConnected."""
        ...

    async def acknowledge(self, number: int) -> None:
        """All events up to this one are durable."""
        ...

    async def close(self) -> None: ...


class Link(Protocol):
    """A plugin that answers. `gone` says why it does not any longer."""

    gone: str | None

    async def act(self, call: Call) -> object:
        """The result. Raises StepFailed (the plugin's own, or `plugin.down`)."""
        ...

    async def listen(self, trigger: str, options: dict[str, object], cursor: object) -> Listening: ...


class StandingLink(Link, Protocol):
    """A link to a program that stays."""

    async def handshake(self, hash: str) -> None:
        """Raises NotConnected when the plugin is another one than its manifest says, or does not answer in time."""
        ...

    async def run(self) -> str:
        """Serves what the plugin says by itself until it is gone; why it is."""
        ...

    def lose(self, reason: str) -> None:
        """Its process has ended: `run` returns, and calls under way fail with `plugin.down`."""
        ...

    async def ask(self, method: str) -> object:
        """Calls a method by name, for the conformance suite. Raises StepFailed."""
        ...


def down(plugin: str, reason: str) -> StepFailed:
    """The plugin cannot be reached, or was lost in the middle: the step may be tried again."""
    return StepFailed("plugin.down", f"the plugin {plugin} is down: {reason}", retryable=True)


def failure(plugin: str, error: object) -> StepFailed:
    """A plugin's own error: `type`, `message`, `retryable`, `details`."""
    if not isinstance(error, dict):
        return StepFailed("plugin.failed", str(error)[:MAX_ERROR], retryable=False)
    type = error.get("type")
    details = error.get("details")
    return StepFailed(
        type if isinstance(type, str) and type else "plugin.failed",
        str(error.get("message") or "the plugin gave no message")[:MAX_ERROR],
        retryable=bool(error.get("retryable", False)),
        details=details if isinstance(details, dict) else {},
    )
