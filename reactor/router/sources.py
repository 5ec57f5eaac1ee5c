"""Keeps one listening source for each distinct set of trigger options, and holds the one reconnect loop."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.abc
import msgspec

from reactor.contracts.clock import Clock
from reactor.contracts.errors import NotConnected, NotReady, Overloaded, Refused, StoreFailed, leading, words
from reactor.contracts.event import Cursor, Event, Upload
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan, Trigger
from reactor.contracts.store import Journal, QueueMessage
from reactor.contracts.text import clean, shown
from reactor.contracts.trigger import HttpMount, Receipt
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet

FIRST_PAUSE = 0.5
LAST_PAUSE = 60.0
STEADY = 60.0
"""Seconds of listening after which a source counts as well again, although it failed right after its last start."""
FAILING = 5
"""Failures in a row after which `source.failing` is observed."""
RETIRE_WITHIN = 60.0
QUEUE_LOOK = 5.0
"""Seconds between two looks at a queue when nothing is heard of it."""
PASSIVE = frozenset({"event", "manual"})
"""Kinds that have no source of their own: events come by HTTP, `emit` and by hand."""


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
        self._sources.observer.observe("source.listening", source=self._source.name)

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
                if self._source.kind == "http":
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
        own = self._source.kind != "http"  # a request's handler goes on when the source is stopped
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
        return f"{self._sources.home}/{self._source.name}"

    def lag(self, messages: float | None) -> None:
        self._source.lag = messages

    def reading(self, what: str | None) -> None:
        self._source.reading = what

    def warn(self, message: str | None) -> None:
        if message is not None and self._source.warning is None:
            self._sources.observer.observe("source.warning", source=self._source.name, error=message)
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


class Source:
    """One source and how it is."""

    def __init__(self, name: str, kind: str, folder: str, options: Any) -> None:
        self.name = name
        self.kind = kind
        self.folder = folder
        self.options = options
        self.flows: set[str] = set()
        self.responds = False
        self.state = "starting"
        self.error: str | None = None
        self.failures = 0
        self.lag: float | None = None
        self.warning: str | None = None
        self.reading: str | None = None
        """What is being read, where the kind says it."""
        self.ready = anyio.Event()
        self.scope = anyio.CancelScope()
        self.gone = anyio.Event()
        self._since: float | None = None
        """Since when it listens; None while it does not."""
        self._flaps = False
        """Whether it listened when it failed the last time."""

    def listens(self, now: float) -> None:
        """It is well again, unless it failed after each of its last starts: then that is seen after a while."""
        self.state, self.error, self._since = "listening", None, now
        if not self._flaps:
            self.failures = 0
        self.ready.set()

    def fails(self, state: str, error: str, now: float) -> bool:
        """Whether it fails for the `FAILING`th time in a row."""
        if self._since is not None and now - self._since >= STEADY:
            self.failures = 0
        self._flaps, self._since = self._since is not None, None
        self.state, self.error = state, error
        self.failures += 1
        return self.failures == FAILING


class Sources:
    """Starts and stops sources as flows come and go."""

    def __init__(
        self,
        group: anyio.abc.TaskGroup,
        inbox: Inbox,
        store: Journal,
        kinds: Any,
        clock: Clock,
        http: HttpMount,
        secret: Callable[[str], str],
        observer: Observer,
        connections: Any = None,
        home: str = "",
        seed: int | None = None,
    ) -> None:
        self.group = group
        self.inbox = inbox
        self.store = store
        self.kinds = kinds
        self.clock = clock
        self.http = http
        self.secret = secret
        self.observer = observer
        self.connections = connections
        self.home = home
        """What tells this daemon from another on the same brokers."""
        self.random = random.Random(seed)
        self.active: dict[str, Source] = {}
        self.queue_news = anyio.Event()
        self._queues = False
        self._retiring: dict[str, anyio.Event] = {}

    def listener(self, fact: str) -> Callable[[dict[str, Any]], None] | None:
        return self._queue_news if fact in ("run.ended", "queue.pushed") else None

    def _queue_news(self, fields: dict[str, Any]) -> None:
        """A push, or the end of a run, may give a queue something to do."""
        if self._queues:
            self.queue_news.set()
            self.queue_news = anyio.Event()

    async def update(self, flows: FlowSet) -> None:
        """Makes the running sources those that the flows name; what is the same is not touched."""
        wanted: dict[str, list[tuple[Plan, Trigger]]] = {}
        for plan, trigger in flows.triggers():
            if trigger.kind not in PASSIVE and (plan.enabled or not self._takes_away(trigger.kind)):
                wanted.setdefault(trigger.source, []).append((plan, trigger))
        named = {trigger.source for _, trigger in flows.triggers()}
        for name in [name for name in self.active if name not in wanted]:
            ending = self.active.pop(name)
            await self._stop(ending)
            if name not in named:
                self._retire(ending)
        for name, users in wanted.items():
            source = self.active.get(name)
            if source is None:
                plan, trigger = users[0]
                source = Source(name, trigger.kind, plan.folder, trigger.options)
                self.active[name] = source
                self.group.start_soon(self._supervise, source)
            source.flows = {plan.flow for plan, _ in users}
            self._queues = any(source.kind == "queue" for source in self.active.values())
            source.responds = any(plan.responds for plan, _ in users)

    def _takes_away(self, kind: str) -> bool:
        """Whether listening takes messages from others: a disabled flow must not."""
        return kind == "queue" or bool(getattr(self.kinds.get(kind), "connection_kinds", ()))

    def _retire(self, source: Source) -> None:
        """Nobody names the source any longer: its kind gives back what it holds at the other side."""
        kind = self.kinds.get(source.kind)
        if not hasattr(kind, "retire"):
            return
        done = self._retiring[source.name] = anyio.Event()

        async def work() -> None:
            try:
                with anyio.fail_after(RETIRE_WITHIN):
                    await kind(source.options).retire(SourceContext(self, source))
            except StoreFailed:
                raise
            except Exception as error:
                fact = f"it was not given back: {words(error)}"
                self.observer.observe("source.warning", source=source.name, error=fact)
            finally:
                self._retiring.pop(source.name, None)
                done.set()

        self.group.start_soon(work)

    async def restart(self, connections: set[str]) -> None:
        """Begins the sources anew that use one of the connections."""
        for name, source in list(self.active.items()):
            if getattr(source.options, "connection", None) in connections:
                await self._stop(source)
                fresh = Source(name, source.kind, source.folder, source.options)
                fresh.flows, fresh.responds = source.flows, source.responds
                self.active[name] = fresh
                self.group.start_soon(self._supervise, fresh)

    async def _stop(self, source: Source) -> None:
        source.scope.cancel()
        await source.gone.wait()

    async def stop(self) -> None:
        """Stops all sources; nothing more comes in."""
        for source in list(self.active.values()):
            await self._stop(source)
        self.active.clear()

    async def _supervise(self, source: Source) -> None:
        try:
            with source.scope:
                if source.name in self._retiring:
                    await self._retiring[source.name].wait()
                while not source.scope.cancel_called:
                    pause = await self._listen(source)
                    source.ready.set()
                    await self.clock.sleep(pause)
        finally:
            source.state = "stopped"
            source.gone.set()

    async def _listen(self, source: Source) -> float:
        """One call of `listen`; the pause before the next in seconds."""
        context = SourceContext(self, source)
        source.reading = None
        state, error = "disconnected", "the source ended"
        try:
            await self.kinds.get(source.kind)(source.options).listen(context)
        except Exception as raised:
            fault = leading(raised)
            if isinstance(fault, StoreFailed):
                raise fault from None
            state, error = _said(source, fault)
        finally:
            with anyio.CancelScope(shield=True):
                await context.end()
        failing = source.fails(state, error, self.clock.monotonic())
        if state == "crashed":
            self.observer.observe("source.crashed", source=source.name, error=error)
        self.observer.observe("source.disconnected", source=source.name, state=state, error=error)
        if failing:
            self.observer.observe("source.failing", source=source.name, count=source.failures, error=error)
        pause = min(FIRST_PAUSE * 2.0 ** min(source.failures - 1, 20), LAST_PAUSE)
        return pause * (0.5 + 0.5 * self.random.random())


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


def _said(source: Source, fault: BaseException) -> tuple[str, str]:
    """The state that a fault leaves a source in, and its reason in words."""
    if isinstance(fault, NotConnected):
        return "disconnected", words(fault)
    if isinstance(fault, NotReady):
        return "not ready", words(fault)
    if isinstance(fault, Overloaded | Refused):
        return "disconnected", f"not accepted: {fault}"
    return "crashed", f"{words(fault)} (while reading {source.reading})" if source.reading else words(fault)
