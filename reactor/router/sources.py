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
from reactor.contracts.facts import SourceCrashed, SourceDisconnected, SourceFailing, SourceWarning
from reactor.contracts.kinds import AnyTrigger
from reactor.contracts.lease import Held, Holder
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan, Trigger
from reactor.contracts.registry import Registry
from reactor.contracts.states import SourceState
from reactor.contracts.store import Hints, Journal
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
HELD_LOOK = 2.0
"""Seconds between two looks at a source that another daemon reads."""


class Source:
    """One source and how it is."""

    def __init__(self, trigger: Trigger, folder: str) -> None:
        self.trigger = trigger
        self.name = trigger.source
        self.kind = trigger.kind
        self.folder = folder
        self.options = trigger.options
        self.answers_sender = trigger.answers_sender
        self.flows: set[str] = set()
        self.responds = False
        self.state = SourceState.starting
        self.error: str | None = None
        self.failures = 0
        self.lag: float | None = None
        self.warning: str | None = None
        self.reading: str | None = None
        """What is being read, where the kind says it."""
        self.held: Held | None = None
        """The right to read it, where one daemon at a time does."""
        self.called: str | None = None
        """Its name at brokers and databases, once it was held."""
        self.turn = anyio.CancelScope()
        """One listening."""
        self.ready = anyio.Event()
        self.scope = anyio.CancelScope()
        self.gone = anyio.Event()
        self._since: float | None = None
        """Since when it listens; None while it does not."""
        self._flaps = False
        """Whether it listened when it failed the last time."""

    def listens(self, now: float) -> None:
        """It is well again, unless it failed after each of its last starts: then that is seen after a while."""
        self.state, self.error, self._since = SourceState.listening, None, now
        if not self._flaps:
            self.failures = 0
        self.ready.set()

    def fails(self, state: SourceState, error: str, now: float) -> bool:
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
        kinds: Registry[AnyTrigger],
        clock: Clock,
        http: HttpMount,
        secret: Callable[[str], str],
        observer: Observer,
        holder: Holder,
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
        self.holder = holder
        self.connections = connections
        self.home = home
        """What tells the sources of this store from others on the same brokers."""
        self.random = random.Random(seed)
        self.active: dict[str, Source] = {}
        self.queue_news = anyio.Event()
        self.queues: set[SourceContext] = set()
        """Those that take messages of queues of the store."""
        self._retiring: dict[str, anyio.Event] = {}
        store.watch(self.hear)

    def hear(self, hints: Hints) -> None:
        """A push, or the end of a run, may give a queue something to do. What another daemon has taken over is not read
        any more."""
        if hints.lost:
            for source in self.active.values():
                if source.held is not None and source.held.owner in hints.lost:
                    source.turn.cancel()
        if self.queues and (hints.queues or hints.ended):
            self.queue_news.set()
            self.queue_news = anyio.Event()

    async def update(self, flows: FlowSet) -> None:
        """Makes the running sources those that the flows name; what is the same is not touched."""
        wanted: dict[str, list[tuple[Plan, Trigger]]] = {}
        for plan, trigger in flows.triggers():
            if not trigger.passive and (plan.enabled or not trigger.takes_messages):
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
                source = Source(trigger, plan.folder)
                self.active[name] = source
                self.group.start_soon(self._supervise, source)
            source.flows = {plan.flow for plan, _ in users}
            source.responds = any(plan.responds for plan, _ in users)

    def _retire(self, source: Source) -> None:
        """Nobody names the source any longer: its kind gives back what it holds at the other side."""
        if not source.trigger.retires:
            return
        kind = self.kinds.get(source.kind)
        done = self._retiring[source.name] = anyio.Event()

        async def work() -> None:
            try:
                with anyio.fail_after(RETIRE_WITHIN):
                    if source.trigger.one_reader:
                        await self._hold(source)
                    await kind(source.options).retire(SourceContext(self, source))
            except StoreFailed:
                raise
            except Exception as error:
                fact = f"it was not given back: {words(error)}"
                self.observer.observe(SourceWarning(source=source.name, error=fact))
            finally:
                with anyio.CancelScope(shield=True):
                    await self._let_go(source)
                self._retiring.pop(source.name, None)
                done.set()

        self.group.start_soon(work)

    async def restart(self, connections: set[str]) -> None:
        """Begins the sources anew that use one of the connections."""
        for name, source in list(self.active.items()):
            if source.trigger.connection in connections:
                await self._stop(source)
                fresh = Source(source.trigger, source.folder)
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
            source.state = SourceState.stopped
            source.gone.set()

    async def _listen(self, source: Source) -> float:
        """One call of `listen`; the pause before the next in seconds."""
        context = SourceContext(self, source)
        source.reading = None
        state, error = SourceState.disconnected, "the source ended"
        try:
            kind = self.kinds.get(source.kind)(source.options)
            if source.trigger.one_reader:
                await self._hold(source)
            with anyio.CancelScope() as source.turn:
                await kind.listen(context)
            if source.turn.cancelled_caught:
                error = "another daemon has taken it over"
        except Exception as raised:
            fault = leading(raised)
            if isinstance(fault, StoreFailed):
                raise fault from None
            state, error = _said(source, fault)
        finally:
            with anyio.CancelScope(shield=True):
                await context.end()
                await self._let_go(source)
        if source.scope.cancel_called:
            return 0.0  # what a client library makes of being cancelled is nobody's fault
        failing = source.fails(state, error, self.clock.monotonic())
        if state is SourceState.crashed:
            self.observer.observe(SourceCrashed(source=source.name, error=error))
        self.observer.observe(SourceDisconnected(source=source.name, state=state.value, error=error))
        if failing:
            await self._tell_failing(source)
        pause = min(FIRST_PAUSE * 2.0 ** min(source.failures - 1, 20), LAST_PAUSE)
        return pause * (0.5 + 0.5 * self.random.random())

    async def _hold(self, source: Source) -> None:
        """Waits until no other daemon reads the source."""
        while source.held is None:
            source.held = await self.holder.hold(source.name, f"{self.home}/{source.name}")
            if source.held is None:
                source.state = SourceState.waiting
                source.ready.set()
                await self.clock.sleep(HELD_LOOK)
        source.called = source.held.name

    async def _let_go(self, source: Source) -> None:
        held, source.held = source.held, None
        if held is not None:
            await self.holder.let_go(held)

    async def _tell_failing(self, source: Source) -> None:
        """For people who watch, and for flows that send it on."""
        fields = {"source": source.name, "count": source.failures, "error": source.error}
        self.observer.observe(SourceFailing(source=source.name, count=source.failures, error=source.error or ""))
        data = {**fields, "kind": source.kind, "state": source.state.value, "flows": sorted(source.flows)}
        with contextlib.suppress(Overloaded):  # the log has it
            await self.inbox.tell(FAILING_TYPE, f"/sources/{source.name}", data)


def _said(source: Source, fault: BaseException) -> tuple[SourceState, str]:
    """The state that a fault leaves a source in, and its reason in words."""
    if isinstance(fault, NotConnected):
        return SourceState.disconnected, words(fault)
    if isinstance(fault, NotReady):
        return SourceState.not_ready, words(fault)
    if isinstance(fault, Overloaded | Refused):
        return SourceState.disconnected, f"not accepted: {fault}"
    return SourceState.crashed, f"{words(fault)} (while reading {source.reading})" if source.reading else words(fault)
