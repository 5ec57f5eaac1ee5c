"""What the daemon's process is told by signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from reactor.contracts.clock import Clock

SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the same one: a terminal and the bootloader both deliver it."""


async def follow_signals(stop: Callable[[], None], reload: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """SIGTERM and SIGINT stop, a second one ends the process at once, SIGHUP reloads; until cancelled."""
    asked: float | None = None
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            if number == signal.SIGHUP:
                await reload()
            elif asked is None:
                asked = clock.monotonic()
                stop()
            elif clock.monotonic() - asked > SAME_SIGNAL:
                os._exit(1)
