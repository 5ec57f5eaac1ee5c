"""Waiting while the disk is full: what was accepted goes on as soon as there is room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from reactor.contracts.clock import Clock
from reactor.contracts.errors import StoreFull
from reactor.contracts.observe import Observer

Result = TypeVar("Result")


async def until_space(write: Callable[[], Awaitable[Result]], clock: Clock, observer: Observer, **told: str) -> Result:
    """What `write` gives, once the store takes it; `told` goes with the fact that it does not yet."""
    while True:
        try:
            return await write()
        except StoreFull as error:
            observer.observe("store.full", **told)
            await clock.sleep(error.retry_after)
