"""Waiting for a condition inside a test of anyio. What another process does is waited for with `tests.daemon.eventually`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio

PAUSE = 0.005
"""Seconds between two looks."""


async def soon(condition: Callable[[], object | Awaitable[object]], message: str, seconds: float = 20.0) -> None:
    """Until the condition is true; `message` says what was not there in time. Other tasks go on meanwhile."""
    with anyio.move_on_after(seconds):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await anyio.sleep(PAUSE)
    raise AssertionError(f"{message} within {seconds:g} s")
