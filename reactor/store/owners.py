"""Who is alive, for a store that one process has for itself: leases end with the process, so they are kept in memory,
and renewing one costs no write."""

from __future__ import annotations

import threading

from reactor.contracts.errors import StaleClaim
from reactor.contracts.lease import Held, Lease

NAMES = "reactor.names"
"""Where positions are kept, the names of sources at brokers and databases are kept under this."""


class Owners:
    """May be used by the loop and by the thread that writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._token = 0
        self._gone: set[str] = set()
        self._sources: dict[str, tuple[str, int]] = {}
        """Owner and token of each source that is held."""

    def join(self, owner: str, now: float, seconds: float) -> Lease:
        """An owner that has a lease keeps what it holds, under a new token."""
        with self._lock:
            self._token += 1
            lease = self._leases[owner] = Lease(owner, self._token, now + seconds)
            return lease

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Raises StaleClaim where another has taken over, or the owner joined again."""
        with self._lock:
            held = self._leases.get(lease.owner)
            if held is None or held.token != lease.token:
                raise StaleClaim(f"{lease.owner} has no lease with token {lease.token} any more")
            renewed = self._leases[lease.owner] = Lease(lease.owner, lease.token, now + seconds)
            return renewed

    def alive(self, owner: str) -> bool:
        """Whether the owner has a lease; one that is over counts until another owner has looked."""
        return owner in self._leases

    def take_over(self, now: float, owner: str) -> set[str]:
        """Ends the leases of others that are over at `now`. The owners whose claims are to be freed: until `freed` says
        that this is committed, they are named again."""
        with self._lock:
            self._end(now, owner)
            return set(self._gone)

    def _end(self, now: float, owner: str) -> list[str]:
        over = [other for other, lease in self._leases.items() if lease.until <= now and other != owner]
        for other in over:
            del self._leases[other]
            self._gone.add(other)
            self._sources = {source: held for source, held in self._sources.items() if held[0] != other}
        return over

    def hold(self, source: str, lease: Lease, now: float) -> tuple[int | None, list[str]]:
        """The token of the hold, None while another owner holds the source; and the owners whose leases were found to
        be over. Raises StaleClaim."""
        with self._lock:
            own = self._leases.get(lease.owner)
            if own is None or own.token != lease.token:
                raise StaleClaim(f"{lease.owner} has no lease with token {lease.token} any more")
            over = self._end(now, lease.owner)
            held = self._sources.get(source)
            if held is not None and held[0] != lease.owner:
                return None, over
            self._token += 1
            self._sources[source] = (lease.owner, self._token)
            return self._token, over

    def let_go(self, held: Held) -> None:
        """Nothing where the source is held anew since."""
        with self._lock:
            if self._sources.get(held.source) == (held.owner, held.token):
                del self._sources[held.source]

    def freed(self, owners: set[str]) -> None:
        with self._lock:
            self._gone -= owners

    def clear(self) -> None:
        """The process ends, or begins: no lease of another life counts."""
        with self._lock:
            self._leases.clear()
            self._sources.clear()
            self._gone.clear()
