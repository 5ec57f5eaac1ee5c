"""Options of the nats trigger."""

from __future__ import annotations

import msgspec

from triggers.kit.decode import Decode


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind nats, or its URL."""
    subject: str | None = None
    """A subject, such as `orders.>`; with `stream`, what of the stream is read."""
    queue_group: str | None = None
    """Core subjects: daemons of one group share the messages."""
    stream: str | None = None
    """Reads a JetStream stream with a durable consumer,"""
    bucket: str | None = None
    """or the changes of a key-value bucket."""
    keys: str = ">"
    """Which keys of the bucket."""
    durable: str = "reactor"
    """The consumer's name; daemons with one name share the work."""
    start: str = msgspec.field(name="from", default="latest")
    """Where a new consumer begins: latest, earliest or an RFC 3339 time. Meant once."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""
    deliveries: int = 10
    """A message that was delivered more often is kept as a dead letter."""
    ack_wait: str = "30s"
    """After so long an unacknowledged message is delivered again; extended while it waits here."""

    @property
    def jetstream(self) -> bool:
        return self.stream is not None or self.bucket is not None
