"""Leases of the SQLite store. The lock file keeps other processes out, so that a lease is of this life alone and is not
written; the names of sources are."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from reactor.contracts.errors import StoreFull
from reactor.contracts.lease import Held, Lease
from reactor.contracts.store import Hints, Watcher
from reactor.store.owners import Owners


class SqliteLeases:
    def __init__(self) -> None:
        super().__init__()
        self._owners = Owners()
        self._watchers: list[Watcher] = []

    def _submit(self, work: Callable[[Any], Any], accepting: bool = False) -> Awaitable[Any]:
        raise NotImplementedError

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
        """On a full disk a new source has its name already; it is kept when the source is held again."""
        token, over = self._owners.hold(source, lease, now)
        if over:
            self._tell_all(Hints(lost=over))
        if token is None:
            return None
        kept = name
        with contextlib.suppress(StoreFull):
            kept = await self._submit(lambda rows: rows.named(source, name))
        return Held(source, lease.owner, token, kept)

    async def let_go(self, held: Held) -> None:
        self._owners.let_go(held)
