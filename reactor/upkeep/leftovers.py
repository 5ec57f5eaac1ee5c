"""What earlier lives of the daemon left, because they were killed."""

from __future__ import annotations

import anyio

from plugins.survivors import RECORD
from reactor.config import Config
from reactor.contracts.facts import ProgramKilled, TemporaryRemoved
from reactor.contracts.observe import Observer
from reactor.process import temporary


async def remove_folders(observer: Observer) -> None:
    """Temporary folders that nobody owns any longer."""
    for folder in await anyio.to_thread.run_sync(temporary.sweep):
        observer.observe(TemporaryRemoved(folder=str(folder)))


async def end_programs(config: Config, observer: Observer) -> None:
    """What programs of a killed daemon started must not run beside their second life."""
    if config.store == "memory:":
        return
    for one in await anyio.to_thread.run_sync(RECORD.keep, config.data):
        observer.observe(ProgramKilled(pid=one.pid, program=one.mark))
