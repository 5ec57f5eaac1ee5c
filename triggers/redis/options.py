"""Options of the redis trigger."""

from __future__ import annotations

import msgspec

from triggers.kit.decode import Decode

MODES = ("channel", "pattern", "stream", "list", "keyspace")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind redis, or its URL."""
    channel: str | None = None
    """Listens to a channel (at most once: what is published while nobody listens is lost),"""
    pattern: str | None = None
    """or to the channels of a pattern,"""
    stream: str | None = None
    """or reads a stream in a consumer group,"""
    list: str | None = None
    """or takes the elements of a list, from its left end,"""
    keyspace: str | None = None
    """or hears what happens to the keys of a pattern (at most once; the server must have notify-keyspace-events)."""
    group: str = "reactor"
    """The stream's consumer group; daemons of one group share the work."""
    start: str = msgspec.field(name="from", default="latest")
    """Where a new group begins: latest, earliest or an RFC 3339 time. Meant once."""
    decode: Decode = "auto"
    """auto, json, text or bytes; a stream's fields are texts."""
    deliveries: int = 10
    """A stream's message that was delivered more often is kept as a dead letter."""
    claim_after: str = "1m"
    """A message that another consumer of the group left unacknowledged for so long is taken over."""

    @property
    def mode(self) -> str | None:
        given = [name for name in MODES if getattr(self, name)]
        return given[0] if len(given) == 1 else None
