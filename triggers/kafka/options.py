"""Options of the kafka trigger."""

from __future__ import annotations

import msgspec

from triggers.kit.decode import Decode


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind kafka, or its URL."""
    topic: str | list[str] | None = None
    """A topic, or several,"""
    pattern: str | None = None
    """or all topics whose names fit a regular expression."""
    group: str = "reactor"
    """The consumer group; daemons of one group share the partitions."""
    start: str = msgspec.field(name="from", default="latest")
    """Where a new group begins: latest, earliest or an RFC 3339 time. Meant once."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""
    batch: int = 500
    """The most messages that are taken at once."""

    @property
    def topics(self) -> list[str]:
        return [self.topic] if isinstance(self.topic, str) else list(self.topic or [])
