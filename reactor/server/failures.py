"""Wrong tokens: counted, written once a burst, and answered the later the more an address sends."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
from msgspec import UNSET

from reactor.contracts.facts import AuthFailed, AuthRefused
from reactor.contracts.observe import Observer
from reactor.server.bursts import Bursts

STEP = 0.0005
"""Seconds that each wrong token of an address adds to the delay of its next one,"""
LONGEST = 1.0
"""up to this."""
FORGOTTEN = 600.0
"""Seconds without a wrong token after which an address begins anew."""
MAX_ADDRESSES = 10_000
MAX_DELAYED = 1_000
"""Answers held back at once; beyond it they go out at once, so that holding them costs nothing that others need."""


@dataclass(slots=True)
class _Address:
    wrong: int
    seen: float


class Failures:
    def __init__(
        self,
        observer: Observer,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._sleep = sleep
        self._now = now
        self._bursts = Bursts(now)
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._delayed = 0

    def note(self, reason: str, address: str) -> None:
        self._observer.observe(AuthRefused(reason=reason, address=address))
        left_out = self._bursts.note(f"{reason} {network_of(address)}")
        if left_out is not None:
            self._observer.observe(AuthFailed(reason=reason, address=address, left_out=left_out or UNSET))

    def delay(self, address: str) -> float:
        """How long the answer to one more wrong token is held back."""
        now = self._now()
        while self._addresses and now - next(iter(self._addresses.values())).seen > FORGOTTEN:
            self._addresses.popitem(last=False)
        key = network_of(address)
        found = self._addresses.setdefault(key, _Address(0, now))
        found.wrong += 1
        found.seen = now
        self._addresses.move_to_end(key)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return min(found.wrong * STEP, LONGEST)

    async def wrong(self, address: str) -> None:
        """Holds the answer to a wrong token back. Who sends the right one never comes here."""
        seconds = self.delay(address)
        if self._delayed >= MAX_DELAYED:
            return
        self._delayed += 1
        try:
            await self._sleep(seconds)
        finally:
            self._delayed -= 1


def network_of(address: str) -> str:
    """An IPv6 address by the network of its site (/64): one sender has all of them."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(given, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((given, 64), strict=False))
    return address
