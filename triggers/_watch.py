"""The kernel's notice that something under a folder changed. It only says when to look."""

from __future__ import annotations

from pathlib import Path

import anyio


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


async def notice(folder: str | Path, bell: Bell, stop: anyio.Event, debounce: int) -> None:
    """Rings until `stop` is set; returns where the kernel cannot tell, and polling goes on alone. `debounce` is in
    milliseconds. `stop` must be set before cancelling: the watcher's thread looks at it."""
    try:
        import watchfiles

        async for _ in watchfiles.awatch(folder, step=20, debounce=debounce, stop_event=stop):
            bell.ring()
    except (OSError, RuntimeError):
        return
