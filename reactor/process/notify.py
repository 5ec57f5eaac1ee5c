"""Readiness and liveness for systemd (sd_notify(3)): datagrams to the socket that the environment names."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable


class Notify:
    """Says nothing where nobody listens."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", None)  # popped: programs that flows start have no part in it
        every = os.environ.pop("WATCHDOG_USEC", None)
        os.environ.pop("WATCHDOG_PID", None)
        self.every = int(every) / 2e6 if every and every.isdigit() and self._address else None
        """Seconds between two signs of life; None when nobody wants them."""

    def say(self, *lines: str) -> None:
        """`READY=1`, `STOPPING=1`, `STATUS=…`, `WATCHDOG=1`."""
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
                one.sendto("\n".join(lines).encode(), address)
        except OSError:
            return

    async def watchdog(self, sleep: Callable[[float], Awaitable[None]], healthy: Callable[[], bool]) -> None:
        """A sign of life while the loop turns and the store works, until cancelled."""
        while self.every is not None:
            if healthy():
                self.say("WATCHDOG=1")
            await sleep(self.every)
