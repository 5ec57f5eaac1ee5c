"""The right of one daemon, among those that share a store, to go on with what it holds."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """An owner is alive until `until` (seconds, on the clock that decides in the store) unless it renews in time.
    Everything that it claims or holds goes with this one lease: renewing costs the same for one run and for thousands.
    `token` grows each time that the owner joins; an older one renews nothing."""

    owner: str
    token: int
    until: float


class Held(msgspec.Struct, frozen=True):
    """A source that its owner alone reads, as long as the owner's lease is renewed. `name` is what the source is called
    at brokers and databases, whoever holds it: sessions and slots are found again. `token` grows with each hold."""

    source: str
    owner: str
    token: int
    name: str


class Holder(Protocol):
    """What sources ask of whoever has this daemon's lease."""

    async def hold(self, source: str, name: str) -> Held | None:
        """None while another daemon holds the source, or this one has no lease."""
        ...

    async def let_go(self, held: Held) -> None: ...
