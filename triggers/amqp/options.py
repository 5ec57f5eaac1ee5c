"""Options of the amqp trigger."""

from __future__ import annotations

from typing import Any

import msgspec

from triggers.kit.decode import Decode


class Bind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    exchange: str
    keys: list[str] = msgspec.field(default_factory=lambda: [""])
    """Routing keys; patterns for a topic exchange."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind amqp, or its URL."""
    queue: str
    """The queue; made, durable, when it is not there."""
    bind: Bind | None = None
    """`exchange` (which must be there) and routing `keys` that the queue is bound to."""
    prefetch: int = 100
    """Messages that the broker may send before we acknowledge one."""
    arguments: dict[str, Any] = {}
    """Arguments of a queue that is made, such as `x-queue-type: quorum` or `x-dead-letter-exchange`."""
    declare: bool = True
    """False takes the queue as it is, and fails when it is not there."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""
