"""Keeps one listening source for each distinct set of trigger options, and holds the one reconnect loop."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc

from reactor.contracts.clock import Clock
from reactor.contracts.errors import NotConnected, NotReady, Overloaded, Refused, StoreFailed, leading, words
from reactor.contracts.event import RESERVED_PREFIX
from reactor.contracts.facts import (
    Fact,
    QueuePushed,
    RunEnded,
    SourceCrashed,
    SourceDisconnected,
    SourceFailing,
    SourceWarning,
)
from reactor.contracts.observe import Listener, Observer
from reactor.contracts.plan import Plan, Trigger
from reactor.contracts.store import Journal
from reactor.contracts.trigger import HttpMount
from reactor.router.inbox import Inbox
from reactor.router.listening import SourceContext
from reactor.router.match import FlowSet

FIRST_PAUSE = 0.5
LAST_PAUSE = 60.0
STEADY = 60.0
"""Seconds of listening after which a source counts as well again, although it failed right after its last start."""
FAILING = 5
"""Failures in a row after which `source.failing` is observed."""
FAILING_TYPE = f"{RESERVED_PREFIX}source.failing"
RETIRE_WITHIN = 60.0
PASSIVE = frozenset({"event", "manual"})
"""Kinds that have no source of their own: events come by HTTP, `emit` and by hand."""


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

    def listener(self, kind: type[Fact]) -> Listener | None:
        return self._queue_news if kind in (RunEnded, QueuePushed) else None

    def _queue_news(self, fact: Fact) -> None:
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
            source.responds = any(plan.responds for plan, _ in users)
        self._queues = any(source.kind == "queue" for source in self.active.values())

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
                self.observer.observe(SourceWarning(source=source.name, error=fact))
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
            self.observer.observe(SourceCrashed(source=source.name, error=error))
        self.observer.observe(SourceDisconnected(source=source.name, state=state, error=error))
        if failing:
            await self._tell_failing(source)
        pause = min(FIRST_PAUSE * 2.0 ** min(source.failures - 1, 20), LAST_PAUSE)
        return pause * (0.5 + 0.5 * self.random.random())

    async def _tell_failing(self, source: Source) -> None:
        """For people who watch, and for flows that send it on."""
        fields = {"source": source.name, "count": source.failures, "error": source.error}
        self.observer.observe(SourceFailing(source=source.name, count=source.failures, error=source.error or ""))
        data = {**fields, "kind": source.kind, "state": source.state, "flows": sorted(source.flows)}
        with contextlib.suppress(Overloaded):  # the log has it
            await self.inbox.tell(FAILING_TYPE, f"/sources/{source.name}", data)


def _said(source: Source, fault: BaseException) -> tuple[str, str]:
    """The state that a fault leaves a source in, and its reason in words."""
    if isinstance(fault, NotConnected):
        return "disconnected", words(fault)
    if isinstance(fault, NotReady):
        return "not ready", words(fault)
    if isinstance(fault, Overloaded | Refused):
        return "disconnected", f"not accepted: {fault}"
    return "crashed", f"{words(fault)} (while reading {source.reading})" if source.reading else words(fault)
