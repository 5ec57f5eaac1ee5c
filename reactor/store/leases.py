"""Leases of a store that one process has for itself. Each such store keeps the names of sources in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod

from reactor.contracts.lease import Held, Lease
from reactor.contracts.store import Hints, Watcher
from reactor.store.owners import Owners


class Leases(ABC):
    def __init__(self) -> None:
        super().__init__()
        self._owners = Owners()
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def _tell_all(self, hints: Hints) -> None:
        for watcher in self._watchers:
            watcher(hints)

    async def join(self, owner: str, now: float, seconds: float) -> Lease:
        return self._owners.join(owner, now, seconds)

    async def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        return self._owners.renew(lease, now, seconds)

    async def hold(self, source: str, lease: Lease, now: float, name: str) -> Held | None:
        token, over = self._owners.hold(source, lease, now)
        if over:
            self._tell_all(Hints(lost=over))
        return None if token is None else Held(source, lease.owner, token, await self._named(source, name))

    async def let_go(self, held: Held) -> None:
        self._owners.let_go(held)

    @abstractmethod
    async def _named(self, source: str, name: str) -> str:
        """The name that is kept for the source, `name` from now on where there is none."""
