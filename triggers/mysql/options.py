"""Options of the mysql trigger."""

from __future__ import annotations

from typing import Literal

import msgspec

from triggers.kit.changes import OPERATIONS, Operation


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind mysql, or its URL; its user may replicate (REPLICATION SLAVE, BINLOG MONITOR)."""
    tables: list[str]
    """Tables as database.table (the connection's database unless given), or database.* for all; backticks as in SQL."""
    operations: list[Operation] = msgspec.field(default_factory=lambda: list(OPERATIONS))
    """insert, update, delete, truncate: what becomes an event."""
    snapshot: Literal["none", "initial"] = "none"
    """initial: the rows that are there at the first start come as row.inserted too, with event.snapshot true."""
    server_id: int | None = None
    """The number under which it follows the server, which no other replica has; made of its name unless given."""
    max_lag: str = "10GiB"
    """Bytes of the log that it may be behind before it warns."""
    after_loss: Literal["stop", "restart"] = "stop"
    """When the server has no more what comes next, and changes are lost: stop with an error, or restart from now."""
    batch: int = 1000
    """Rows that a snapshot reads at once."""
