"""Claims runs and keeps a bounded number of them going; the rest waits in the store."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Awaitable, Callable, Iterator

import anyio
import anyio.abc

from reactor.contracts.clock import Clock
from reactor.contracts.errors import Diverged, StaleClaim, StoreFailed, StoreFull, error_object
from reactor.contracts.facts import RunBroken, RunLost, RunPaused
from reactor.contracts.journal import AnyEntry, Cancelled, Retried
from reactor.contracts.lease import Held, Lease
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan
from reactor.contracts.run import Change, Start, Status
from reactor.contracts.signals import Cancel, Retry, message_of
from reactor.contracts.store import Claim, Claimed, Effects, Hints, Store
from reactor.engine import machine
from reactor.engine.parked import Parked
from reactor.engine.runner import Live, Runner
from reactor.engine.state import Run
from reactor.engine.timeline import Timeline
from reactor.engine.until_space import until_space

CLAIM_BATCH = 64
LONG_JOURNAL = 2_000
"""Entries from which on a recovery is folded in a thread, so that the event loop does not wait for it."""
IDLE_LOOK = 60.0
"""Seconds after which the store is asked even without a hint."""
CLOCK_LOOK = 10.0
"""Seconds after which a wall clock that was set anew is noticed."""
LEASE = 60.0
"""Seconds after which others may take over what this process holds, unless it renews its lease. It renews three times
in that time."""
CAREFUL = 60.0
"""Seconds after an unclean end in which nothing is begun before it is stored."""


class Pool:
    """Owns the live runs of this process. `runner` makes the one that drives them: what it sends comes in by an inbox
    that asks the pool for room."""

    careful = CAREFUL

    def __init__(
        self,
        group: anyio.abc.TaskGroup,
        store: Store,
        clock: Clock,
        observer: Observer,
        plans: Callable[[str], Awaitable[Plan | None]],
        owner: str,
        runner: Callable[[Pool], Runner],
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
        self._time = Timeline(clock, store)
        self._careful_until: float | None = None
        self._active: dict[str, Live | None] = {}
        self._claiming = False
        self._early: set[str] = set()
        """Runs that got a signal while they were on their way into memory."""
        self._hint = anyio.Event()
        self._idle = anyio.Event()
        self._lease: Lease | None = None
        self._draining = False
        self._more = True
        self._scope = anyio.CancelScope()
        self.runner = runner(self)
        store.watch(self.hint)
        store.held(self._parked.seqs)

    @property
    def active(self) -> int:
        return len(self._active)

    def has_room(self) -> bool:
        return len(self._active) < self._max_active and self._lease is not None and not self._draining

    def drives(self, run: str) -> bool:
        """Whether the run goes on here."""
        return run in self._active

    def walks(self) -> bool:
        """Whether runs may be begun before they are stored. After an unclean end they are stored first, for a while:
        one that takes the daemon down with it is then known to the next life."""
        return self._careful_until is None or self._clock.monotonic() >= self._careful_until

    def shift(self) -> float:
        """What the wall clock is ahead of the time in which durations are counted."""
        self._time.used = True
        return self._time.shift

    async def begin(self) -> None:
        """Before anything is accepted: takes over what the process before left. May be called again."""
        if self._store.crashed and self._careful_until is None:
            self._careful_until = self._clock.monotonic() + self.careful
        await self._time.begin()
        if self._lease is None:
            await self._join()

    async def _join(self) -> None:
        self._lease = await self._store.join(self._owner, self._time.now(), LEASE)

    async def keep(self) -> None:
        """Renews the right to all runs of this process long before it is over. Does not end."""
        while True:
            await self._clock.sleep(LEASE / 3)
            try:
                if self._lease is not None:
                    self._lease = await self._store.renew(self._lease, self._time.now(), LEASE)
            except StaleClaim:
                await self._give_up()

    async def _give_up(self) -> None:
        """Others have taken over: what runs here stops, and when all of it has, this process begins anew."""
        if self._lease is None:
            return
        self._lease = None
        for live in self._active.values():
            if live is not None:
                live.lose()
        await self._until_idle()
        await self._join()
        self._hint.set()

    async def hold(self, source: str, name: str) -> Held | None:
        """The right to read a source, which goes with the lease; None while it cannot be had."""
        if self._lease is None:
            return None
        with contextlib.suppress(StaleClaim):
            return await self._store.hold(source, self._lease, self._time.now(), name)
        return None

    async def let_go(self, held: Held) -> None:
        await self._store.let_go(held)

    async def _until_idle(self) -> None:
        while self._active:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    def hint(self, hints: Hints) -> None:
        for run in hints.signalled:
            live = self._active.get(run)
            if live is not None:
                live.signalled = True
                live.wake()
            elif run in self._active or self._claiming:
                self._early.add(run)
        if self._owner in hints.lost:
            self._group.start_soon(self._give_up)
        if hints.due:
            self._more = True
            self._hint.set()

    def adopt(self, live_run: Run, id: str, start: Start, token: int) -> None:
        """Goes on with a run that was accepted already claimed, with `token`."""
        assert start.begun is not None
        live = Live(
            live_run, Claim(id, self._owner, token), len(start.begun.entries), start.parent,
            self._time.offset(start.shift), start.shift,
        )  # fmt: skip
        live.cleared = {path for path, frame in live_run.open.items() if frame.begun}
        live.answered = start.begun.change.response is not None
        self._active[id] = live
        self._group.start_soon(self._drive, id, live)

    async def run(self) -> None:
        """Claims until cancelled."""
        self._group.start_soon(self.keep)
        with self._scope:
            await self.begin()
            while True:
                await self._time.look()
                await self._claim()
                room = len(self._active) < self._max_active
                wake = await self._store.next_wake(self._time.lead()) if room else None
                await self._pause_until(self._time.now() + IDLE_LOOK if wake is None else wake)

    async def _pause_until(self, wake: float) -> None:
        """Until then, a hint, or a wall clock that was set anew; a minute at most."""
        left = min(wake - self._time.now(), IDLE_LOOK)
        while left > 0 and not self._hint.is_set():
            with anyio.move_on_after(min(left, CLOCK_LOOK)):
                await self._hint.wait()
            left = min(wake - self._time.now(), left - CLOCK_LOOK)
            if await self._time.look():
                break
        await anyio.lowlevel.checkpoint()
        self._hint = anyio.Event()

    async def _claim(self) -> None:
        while not self._draining and self._lease is not None:
            room = min(self._max_active - len(self._active), CLAIM_BATCH)
            if room <= 0:
                return
            self._more = False
            self._claiming = True
            try:
                claimed = await self._store.claim(self._owner, room, self._time.now(), self._clock.now())
            except StoreFull as error:
                await self._clock.sleep(error.retry_after)
                continue
            except StaleClaim:
                await self._give_up()
                continue
            finally:
                self._claiming = False
            if self._early:
                self._early &= {one.record.id for one in claimed} | set(self._active)
            for run, reason in self._store.quarantined():
                self._observer.observe(RunPaused(run=run, error=reason))
            for one in claimed:
                self._active[one.record.id] = None
                self._group.start_soon(self._resume, one)
            if len(claimed) < room and not self._more:
                return

    async def _resume(self, claimed: Claimed) -> None:
        id = claimed.record.id
        live = None
        try:
            live = await self._recover(claimed)
        except StaleClaim:
            pass
        except Exception as error:
            await self._stopped(claimed.claim, claimed.record.next_seq, error)
        if live is None:
            self._ended(id)
            return
        live.signalled = live.signalled or id in self._early
        self._early.discard(id)
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
        pending: list[AnyEntry] = []
        messages = [message_of(signal) for signal in claimed.signals]
        cancel = next((message for message in messages if isinstance(message, Cancel)), None)
        fresh = record.started is None
        shift = self._time.shift if fresh else record.shift
        now = self._time.now() + shift
        at = now if fresh else (record.started or now)
        run = self._parked.take(record.id, record.next_seq)
        entries = [] if run is not None else await self._entries(claimed)
        if fresh and cancel is not None and not entries:
            pending = [Cancelled("queued", now, cancel.reason, cancel.type)]
        try:
            if run is None:
                run = await self._fold(plan, claimed, at, [*entries, *pending])
            if any(isinstance(message, Retry) for message in messages) and run.ended and run.retry_point is not None:
                pending = [Retried("", max(now, run.now), run.retry_point)]
                run = await self._fold(plan, claimed, at, [*entries, *pending])
        except Diverged as error:
            await self._park(claimed, "diverged", str(error))
            return None
        live = Live(run, claimed.claim, record.next_seq, record.parent, self._time.offset(shift), shift)
        live.pending = pending
        live.recovered = not fresh or not self.walks()
        live.answered = record.response is not None
        run.outgoing.clear()
        self.runner.follow_clock(live)
        await self.runner.signals(live, claimed.signals)
        await self.runner.due(live)
        return live

    async def _entries(self, claimed: Claimed) -> list[AnyEntry]:
        """Those of the claim; it has none for a run that was kept in memory then, and may have been forgotten since."""
        return list(claimed.entries) if claimed.entries is not None else await self._store.read(claimed.record.id)

    async def _fold(self, plan: Plan, claimed: Claimed, at: float, entries: list[AnyEntry]) -> Run:
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
        self._observer.observe(RunPaused(run=claimed.record.id, error=message))

    async def _drive(self, id: str, live: Live) -> None:
        try:
            await self.runner.drive(live)
            if not live.run.ended:
                self._parked.keep(live.run, live.seq)
        except Exception as error:
            await self._stopped(live.claim, live.seq, error)
        finally:
            self._ended(id)

    async def _stopped(self, claim: Claim, seq: int, error: Exception) -> None:
        """Whatever went wrong belongs to this run and stops it, never the daemon. Raises StoreFailed when the store
        did."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, StoreFailed):
                raise cause
        if all(isinstance(cause, StaleClaim) for cause in causes):
            self._observer.observe(RunLost(run=claim.run, error=str(causes[0])))
            return
        self._observer.observe(
            RunBroken(run=claim.run, error=repr(error), trace="".join(traceback.format_exception(error)))
        )
        cause = causes[0]
        record = error_object("broken", f"{type(cause).__name__}: {cause}", retryable=False)
        change = Change(status=Status.paused, at=self._clock.now(), error=record, release=True)
        try:
            await self._pause(claim, seq, change)
        except StaleClaim:
            self._observer.observe(RunLost(run=claim.run))

    async def _pause(self, claim: Claim, seq: int, change: Change, consumed: int = 0) -> None:
        await until_space(
            lambda: self._store.append(claim, seq, Effects(change=change, consumed=consumed)),
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
        with anyio.move_on_after(seconds):
            await self._until_idle()
        await self._time.save()


def _causes(error: Exception) -> Iterator[Exception]:
    """The faults of a group, each by itself."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error
