"""Waiting while the disk is full: what was accepted goes on as soon as there is room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import UNSET

from reactor.contracts.clock import Clock
from reactor.contracts.errors import StoreFull
from reactor.contracts.facts import StoreIsFull, Text
from reactor.contracts.observe import Observer

Result = TypeVar("Result")


async def until_space(
    write: Callable[[], Awaitable[Result]], clock: Clock, observer: Observer, run: Text = UNSET
) -> Result:
    """What `write` gives, once the store takes it; `run` is told of while it does not yet."""
    while True:
        try:
            return await write()
        except StoreFull as error:
            observer.observe(StoreIsFull(run=run))
            await clock.sleep(error.retry_after)
