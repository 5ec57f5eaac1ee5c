"""What tells this daemon from others on the same brokers and databases."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from reactor.contracts.errors import StoreFull
from reactor.contracts.event import Cursor
from reactor.contracts.store import Journal


async def home_of(store: Journal, data: Path) -> str:
    """It goes with the data, so that sessions and slots are found again in another container, or in a directory that
    was moved."""
    made = f"{socket.gethostname()}:{data.absolute()}"
    known = (await store.cursor("reactor")).get("home")
    if isinstance(known, str):
        return known
    with contextlib.suppress(StoreFull):
        await store.move([Cursor("reactor", "home", made)])
    return made
