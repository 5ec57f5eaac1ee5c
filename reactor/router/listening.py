"""What one listening of a source may touch of the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import msgspec

from reactor.contracts.errors import Overloaded, Refused, words
from reactor.contracts.event import Cursor, Event, Upload
from reactor.contracts.facts import SourceListening, SourceWarning
from reactor.contracts.store import QueueMessage
from reactor.contracts.text import clean, shown
from reactor.contracts.trigger import Receipt

if TYPE_CHECKING:
    from reactor.router.sources import Source, Sources

QUEUE_LOOK = 5.0
"""Seconds between two looks at a queue when nothing is heard of it."""


class SourceContext:
    """`TriggerContext` for one listening of a source."""

    def __init__(self, sources: Sources, source: Source) -> None:
        self._sources = sources
        self._source = source
        self._lane = anyio.Lock()
        """Who holds it was not accepted and tries again; the events behind it wait, so that they keep their order."""
        self._offers = 0
        self._ended = anyio.Event()
        self._quiet = anyio.Event()
        self.clock = sources.clock
        self.folder = source.folder
        self.http = sources.http
        self.payloads = sources.store.payloads

    async def ready(self) -> None:
        self._source.listens(self.clock.monotonic())
        self._sources.observer.observe(SourceListening(source=self._source.name))

    async def emit(
        self,
        event: Event,
        wait: float | None = None,
        cursors: Sequence[Cursor] = (),
        uploads: Sequence[Upload] = (),
        taken: str | None = None,
    ) -> Receipt:
        if not self._lane.locked():
            try:
                return await self._emit(event, wait, cursors, uploads, taken)
            except Overloaded:
                if self._source.answers_sender:
                    raise
        async with self._lane:
            while not self._ended.is_set():
                try:
                    return await self._emit(event, wait, cursors, uploads, taken)
                except Overloaded as error:
                    await self._pause(error.retry_after)
        raise Overloaded("the source was stopped")

    async def _emit(
        self, event: Event, wait: float | None, cursors: Sequence[Cursor], uploads: Sequence[Upload], taken: str | None
    ) -> Receipt:
        inbox, origin = self._sources.inbox, self._source.name
        own = not self._source.answers_sender  # a request's handler goes on when the source is stopped
        try:
            return await inbox.emit(origin, event, wait, cursors, uploads, taken, own)
        except Refused as error:
            if not own or event.invalid is not None:
                raise
            # a broker would send it again and again: it is kept, and said
            kept = msgspec.structs.replace(event, invalid=str(error))
            return await inbox.emit(origin, kept, wait, cursors, uploads, taken)
        except (RecursionError, UnicodeEncodeError, OverflowError) as error:
            if not own or event.invalid is not None:
                raise
            kept = _storable(event, f"it cannot be stored: {words(error)}")
            return await inbox.emit(origin, kept, wait, cursors, uploads, taken)

    async def _pause(self, seconds: float) -> None:
        """Ends early with the listening."""
        async with anyio.create_task_group() as group:

            async def until_ended() -> None:
                await self._ended.wait()
                group.cancel_scope.cancel()

            group.start_soon(until_ended)
            await self.clock.sleep(seconds)
            group.cancel_scope.cancel()

    async def end(self) -> None:
        """Returns when nothing that was offered is under way any longer: the next listening reads a position that
        nobody moves behind its back."""
        self._ended.set()
        self._sources.queues.discard(self)
        if self._offers:
            await self._quiet.wait()

    async def emit_many(self, events: Sequence[Event], cursors: Sequence[Cursor] = ()) -> list[Receipt]:
        receipts: list[Receipt | None] = [None] * len(events)

        async def one(place: int, event: Event) -> None:
            receipts[place] = await self.emit(event)

        async with anyio.create_task_group() as group:
            for place, event in enumerate(events[:-1]):
                await self._sources.inbox.room()
                group.start_soon(one, place, event)
        if events:
            receipts[-1] = await self.emit(events[-1], cursors=cursors)
        return [receipt for receipt in receipts if receipt is not None]

    async def offer(self, event: Event, cursors: Sequence[Cursor] = ()) -> Awaitable[Receipt]:
        await self._sources.inbox.room()
        self._offers += 1
        return _Offer(self._sources.group, lambda: self.emit(event, cursors=cursors), self._settled)

    def _settled(self) -> None:
        self._offers -= 1
        if self._ended.is_set() and not self._offers:
            self._quiet.set()

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        self._sources.queues.add(self)
        while True:
            news = self._sources.queue_news
            found = await self._sources.store.take(queue, at_once)
            if found:
                return found
            with anyio.move_on_after(QUEUE_LOOK):
                await news.wait()

    async def cursor(self) -> dict[str, Any]:
        # a write behind all others: a `move` that was cancelled may still be on its way to the disk
        await self._sources.store.move([])
        return await self._sources.store.cursor(self._source.name)

    async def move(self, items: dict[str, Any]) -> None:
        await self._sources.store.move([self.at(item, value) for item, value in items.items()])

    def at(self, item: str, value: Any) -> Cursor:
        return Cursor(self._source.name, item, value)

    def responds(self) -> bool:
        return self._source.responds

    def secret(self, name: str) -> str:
        return self._sources.secret(name)

    def connection(self, name: str) -> AbstractAsyncContextManager[Any]:
        lent: AbstractAsyncContextManager[Any] = self._sources.connections.lend(name)
        return lent

    def identity(self) -> str:
        return self._source.called or f"{self._sources.home}/{self._source.name}"

    def lag(self, messages: float | None) -> None:
        self._source.lag = messages

    def reading(self, what: str | None) -> None:
        self._source.reading = what

    def warn(self, message: str | None) -> None:
        if message is not None and self._source.warning is None:
            self._sources.observer.observe(SourceWarning(source=self._source.name, error=message))
        self._source.warning = message

    def random(self) -> float:
        return self._sources.random.random()


class _Offer:
    """A receipt to come; the work began when it was offered."""

    def __init__(
        self, group: anyio.abc.TaskGroup, work: Callable[[], Awaitable[Receipt]], settled: Callable[[], None]
    ) -> None:
        self._settled = settled
        self._done = anyio.Event()
        self._receipt: Receipt | None = None
        self._error: Exception | None = None
        group.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[Receipt]]) -> None:
        try:
            self._receipt = await work()
        except Exception as error:
            self._error = error
        finally:
            self._done.set()
            self._settled()

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> Receipt:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        if self._receipt is None:
            raise Overloaded("the source was stopped")
        return self._receipt


def _storable(event: Event, reason: str) -> Event:
    """The event as a dead letter. What is nested too deeply, or no text, would not be stored in it either."""
    try:
        data, fields = clean(event.data), clean(event.fields)
        msgspec.json.encode((data, fields))
    except (RecursionError, OverflowError):
        data, fields = None, {}
    replace = msgspec.structs.replace
    key = None if event.key is None else shown(event.key)
    return replace(event, source=shown(event.source), data=data, key=key, fields=fields, extensions={}, invalid=reason)
