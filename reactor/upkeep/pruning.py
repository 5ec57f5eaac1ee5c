"""Keeps the store within its retention."""

from __future__ import annotations

from reactor.config import Config
from reactor.contracts.clock import Clock
from reactor.contracts.errors import StoreFull
from reactor.contracts.facts import StoreIsFull
from reactor.contracts.observe import Observer
from reactor.contracts.store import Retention, Store
from reactor.store.sqlite.files import half_of_volume

EVERY = 60.0
LOOK = 2.0
"""Seconds after which a full disk is noticed: then what may go goes at once."""
BATCH = 500
PAUSE = 0.05
"""Seconds between two batches, in which others have the store."""


def retention_of(config: Config, store: Store) -> Retention:
    """The bytes that nobody asked for are at most half of the volume."""
    most = config.retention_bytes
    if config.origins["retention_bytes"][1] == "default" and config.store != "memory:":
        most = min(most, half_of_volume(store.payloads.folder.parent))
    return Retention(age=config.retention, count=config.retention_count, bytes=most)


async def prune(store: Store, retention: Retention, clock: Clock, observer: Observer) -> None:
    """Removes what is older or more than is kept, until cancelled."""
    while True:
        try:
            await store.sweep()
            break
        except StoreFull as error:
            await clock.sleep(error.retry_after)
    while True:
        try:
            while await store.prune(clock.now(), retention, BATCH):
                await clock.sleep(PAUSE)
        except StoreFull:
            observer.observe(StoreIsFull())
        due = clock.monotonic() + EVERY
        while True:
            await clock.sleep(LOOK)
            if clock.monotonic() >= due or store.health() is not None:
                break
