"""Blocking work in a thread that notices a cancellation, and has ended before the step has."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio

from reactor.contracts.errors import StepFailed

Result = TypeVar("Result")


class Stop:
    """Looked at between two pieces of work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def look(self) -> None:
        """Raises StepFailed when nobody waits for the result any more."""
        if self._event.is_set():
            raise StepFailed("cancelled", "the step was cancelled")


async def in_thread(work: Callable[[Stop], Result]) -> Result:
    """The result of `work(stop)`."""
    stop = Stop()
    result: list[Result] = []

    async def watch() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stop.set()

    failure: list[BaseException] = []

    def guarded() -> None:
        try:
            result.append(work(stop))
        except BaseException as error:
            failure.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.to_thread.run_sync(guarded)
        group.cancel_scope.cancel()
    if failure:
        raise failure[0]
    return result[0]
