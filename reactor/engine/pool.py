"""Claims runs and keeps a bounded number of them going; the rest waits in the store."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.abc

from reactor.contracts.clock import Clock
from reactor.contracts.errors import Diverged, ReactorError, StaleClaim, StoreFailed, StoreFull, error_object
from reactor.contracts.journal import Cancelled, Retried
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan
from reactor.contracts.run import Change, Start, Status
from reactor.contracts.store import Claim, Claimed, Journal
from reactor.engine import machine
from reactor.engine.parked import Parked
from reactor.engine.room import when_room
from reactor.engine.runner import Live, Runner
from reactor.engine.state import Run

CLAIM_BATCH = 64
LONG_JOURNAL = 2_000
"""Entries from which on a recovery is folded in a thread, so that the event loop does not wait for it."""
IDLE_LOOK = 60.0
"""Seconds after which the store is asked even without a hint."""


class Pool:
    """Owns the live runs of this process."""

    def __init__(
        self,
        group: anyio.abc.TaskGroup,
        store: Journal,
        clock: Clock,
        observer: Observer,
        plans: Callable[[str], Awaitable[Plan | None]],
        owner: str,
        max_active: int = 1000,
        parked: Parked | None = None,
    ) -> None:
        self._group = group
        self._store = store
        self._clock = clock
        self._observer = observer
        self._plans = plans
        self._owner = owner
        self._max_active = max_active
        self._parked = parked if parked is not None else Parked()
        self._active: dict[str, Live | None] = {}
        self._hint = anyio.Event()
        self._idle = anyio.Event()
        self._draining = False
        self._more = True
        self.runner: Runner | None = None
        self._scope = anyio.CancelScope()
        store.watch(self.hint)
        store.held(self._parked.seqs)

    @property
    def active(self) -> int:
        return len(self._active)

    def has_room(self) -> bool:
        return len(self._active) < self._max_active and not self._draining

    def hint(self, signalled: Sequence[str], due: bool) -> None:
        for run in signalled:
            live = self._active.get(run)
            if live is not None:
                live.signalled = True
                live.wake()
            elif run in self._active:
                due = True
        if due:
            self._more = True
            self._hint.set()

    def adopt(self, live_run: Run, id: str, start: Start) -> None:
        """Goes on with a run that was accepted already claimed."""
        assert start.begun is not None
        live = Live(live_run, Claim(id, self._owner, 1), len(start.begun.entries), start.parent)
        live.cleared = {path for path, frame in live_run.open.items() if frame.begun}
        live.answered = start.begun.change.response is not None
        self._active[id] = live
        self._group.start_soon(self._drive, id, live)

    async def run(self) -> None:
        """Claims until cancelled."""
        with self._scope:
            while True:
                await self._claim()
                wake = await self._store.next_wake() if len(self._active) < self._max_active else None
                pause = IDLE_LOOK if wake is None else max(wake - self._clock.now(), 0.0)
                with anyio.move_on_after(min(pause, IDLE_LOOK)):
                    await self._hint.wait()
                self._hint = anyio.Event()

    async def _claim(self) -> None:
        while not self._draining:
            room = min(self._max_active - len(self._active), CLAIM_BATCH)
            if room <= 0:
                return
            self._more = False
            try:
                claimed = await self._store.claim(self._owner, room, self._clock.now())
            except StoreFull as error:
                await self._clock.sleep(error.retry_after)
                continue
            for one in claimed:
                self._active[one.record.id] = None
                self._group.start_soon(self._resume, one)
            if len(claimed) < room and not self._more:
                return

    async def _resume(self, claimed: Claimed) -> None:
        id = claimed.record.id
        try:
            live = await self._recover(claimed)
        except StaleClaim:
            live = None
        if live is None:
            self._ended(id)
            return
        self._active[id] = live
        await self._drive(id, live)

    async def _recover(self, claimed: Claimed) -> Live | None:
        record = claimed.record
        plan = await self._plans(record.version)
        if plan is None:
            await self._park(
                claimed, "plan.missing", f"the flow's version {record.version} cannot be compiled any more"
            )
            return None
        pending: list[Any] = []
        cancels = [signal for signal in claimed.signals if signal.kind == "cancel"]
        fresh = record.started is None
        now = self._clock.now()
        at = now if fresh else (record.started or now)
        run = self._parked.take(record.id, record.next_seq)
        entries = [] if run is not None else await self._entries(claimed)
        if fresh and cancels and not entries:
            reason = cancels[0].body
            pending = [Cancelled("queued", now, str(reason.get("reason", "")), str(reason.get("type", "cancelled")))]
        try:
            if run is None:
                run = await self._fold(plan, claimed, at, [*entries, *pending])
            if any(signal.kind == "retry" for signal in claimed.signals) and run.ended and run.retry_point is not None:
                pending = [Retried("", max(now, run.now), run.retry_point)]
                run = await self._fold(plan, claimed, at, [*entries, *pending])
        except Diverged as error:
            await self._park(claimed, "diverged", str(error))
            return None
        live = Live(run, claimed.claim, record.next_seq, record.parent)
        live.pending = pending
        live.recovered = not fresh
        live.answered = record.response is not None
        run.outgoing.clear()
        assert self.runner is not None
        await self.runner.signals(live, claimed.signals)
        await self.runner.due(live)
        return live

    async def _entries(self, claimed: Claimed) -> list[Any]:
        """Those of the claim; it has none for a run that was kept in memory then, and may have been forgotten since."""
        return list(claimed.entries) if claimed.entries is not None else await self._store.read(claimed.record.id)

    async def _fold(self, plan: Plan, claimed: Claimed, at: float, entries: list[Any]) -> Run:
        record = claimed.record

        def fold() -> Run:
            return machine.recover(
                plan,
                claimed.event,
                record.id,
                record.trigger,
                at,
                record.environment,
                record.bounds,
                entries,
                claimed.events,
            )

        return fold() if len(entries) < LONG_JOURNAL else await anyio.to_thread.run_sync(fold)

    async def _park(self, claimed: Claimed, type: str, message: str) -> None:
        """Leaves a run that cannot go on to a person."""
        error = error_object(type, message, retryable=False)
        change = Change(status=Status.paused, at=self._clock.now(), error=error, release=True)
        consumed = max((signal.seq for signal in claimed.signals), default=0)
        await self._pause(claimed.claim, claimed.record.next_seq, change, consumed)
        self._observer.observe("run.paused", run=claimed.record.id, error=message)

    async def _drive(self, id: str, live: Live) -> None:
        assert self.runner is not None
        try:
            await self.runner.drive(live)
            if not live.run.ended:
                self._parked.keep(live.run, live.seq)
        except StaleClaim as error:
            self._observer.observe("run.lost", run=id, error=str(error))
        except StoreFailed:
            raise
        except (
            ReactorError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            AssertionError,
        ) as error:
            await self._broken(id, live, error)
        finally:
            self._ended(id)

    async def _broken(self, id: str, live: Live, error: Exception) -> None:
        """A broken invariant stops this run, never the daemon."""
        self._observer.observe(
            "run.broken", run=id, error=repr(error), trace="".join(traceback.format_exception(error))
        )
        record = error_object("broken", f"{type(error).__name__}: {error}", retryable=False)
        change = Change(status=Status.paused, at=self._clock.now(), error=record, release=True)
        try:
            await self._pause(live.claim, live.seq, change)
        except StaleClaim:
            self._observer.observe("run.lost", run=id)

    async def _pause(self, claim: Claim, seq: int, change: Change, consumed: int = 0) -> None:
        await when_room(
            lambda: self._store.append(claim, seq, [], change, consumed=consumed),
            self._clock, self._observer, run=claim.run,
        )  # fmt: skip

    def _ended(self, id: str) -> None:
        self._active.pop(id, None)
        self._hint.set()
        if not self._active:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Takes nothing new, lets what runs come to a rest, then gives the remainder back."""
        self._draining = True
        self._scope.cancel()
        if self._active:
            self._idle = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._idle.wait()
