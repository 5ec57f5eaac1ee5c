"""The kernel's notice that something under a folder changed. It only says when to look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from reactor.contracts.errors import leading

AGAIN = 1.0
"""Seconds until the library is asked again after it gave up at a name."""


class Bell:
    """An event that can be cleared."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()


async def notice(
    folder: str | Path, bell: Bell, stop: anyio.Event, debounce: int, told: Callable[[str | None], None] | None = None
) -> None:
    """Rings until `stop` is set; returns where the kernel cannot tell, and polling goes on alone. `debounce` is in
    milliseconds. `stop` must be set before cancelling: the watcher's thread looks at it. `told` hears why there are no
    notices now (None: there are)."""
    while not stop.is_set():
        reason = await _notice(folder, bell, stop, debounce, told or _nobody)
        if reason is None or stop.is_set():
            return
        bell.ring()
        if "decode path" not in reason:
            (told or _nobody)(reason)
            return
        # the library gives up at a name that is not UTF-8; what happens until it watches again, the ring then finds
        with anyio.move_on_after(AGAIN):
            await stop.wait()


def _nobody(_: str | None) -> None:
    return None


async def _notice(
    folder: str | Path, bell: Bell, stop: anyio.Event, debounce: int, told: Callable[[str | None], None]
) -> str | None:
    """Why the watcher ended; None when it was stopped."""
    import watchfiles

    reasons: list[str] = []
    begun = False
    try:
        async for changes in watchfiles.awatch(
            folder, step=20, debounce=debounce, stop_event=stop, rust_timeout=1000, yield_on_timeout=True
        ):
            if changes or not begun:
                bell.ring()
            if not begun:
                told(None)
            begun = True
    except* (OSError, RuntimeError, UnicodeError) as errors:
        reasons.append(str(leading(errors)))
    return reasons[0] if reasons else None
