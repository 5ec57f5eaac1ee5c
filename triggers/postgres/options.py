"""Options of the postgres triggers."""

from __future__ import annotations

from typing import Literal

import msgspec

from triggers.kit.changes import OPERATIONS, Operation
from triggers.kit.decode import Decode


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, or its URL; its user may replicate."""
    tables: list[str]
    """Tables as schema.table (schema public unless given), or schema.* for all of a schema; quoted as in SQL."""
    operations: list[Operation] = msgspec.field(default_factory=lambda: list(OPERATIONS))
    """insert, update, delete, truncate: what becomes an event."""
    snapshot: Literal["none", "initial"] = "none"
    """initial: the rows that are there at the first start come as row.inserted too, with event.snapshot true."""
    slot: str | None = None
    """A replication slot that stays yours; without it the trigger makes one, and drops it when no flow names it."""
    publication: str | None = None
    """A publication that is there already; without it the trigger makes one for the tables."""
    max_lag: str = "10GiB"
    """The most that the trigger's own slot may hold back on the server; beyond, it is given up: changes are lost."""
    after_loss: Literal["stop", "restart"] = "stop"
    """When the slot is gone, and changes with it: stop with an error, or restart with a new one from now."""
    batch: int = 1000
    """Rows that a snapshot reads at once."""


class NotifyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, or its URL."""
    channel: str
    """The channel, as in LISTEN."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""
