"""Leases of the store in memory."""

from __future__ import annotations

from typing import Any

from reactor.contracts.lease import Held, Lease
from reactor.contracts.store import Hints, Watcher
from reactor.store.owners import NAMES, Owners


class MemoryLeases:
    def __init__(self) -> None:
        super().__init__()
        self._owners = Owners()
        self._cursors: dict[tuple[str, str], Any] = {}
        self._watchers: list[Watcher] = []

    async def join(self, owner: str, now: float, seconds: float) -> Lease:
        return self._owners.join(owner, now, seconds)

    async def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        return self._owners.renew(lease, now, seconds)

    async def hold(self, source: str, lease: Lease, now: float, name: str) -> Held | None:
        token, over = self._owners.hold(source, lease, now)
        if over:
            self._tell_all(Hints(lost=over))
        if token is None:
            return None
        return Held(source, lease.owner, token, self._cursors.setdefault((NAMES, source), name))

    def _tell_all(self, hints: Hints) -> None:
        for watcher in self._watchers:
            watcher(hints)

    async def let_go(self, held: Held) -> None:
        self._owners.let_go(held)
