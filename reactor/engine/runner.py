"""Performs what the machine asks for: journal first, then act, then journal the outcome.

Rules: an outcome and the intentions that follow from it are one append; nothing is performed before its intention
is durable (but for `repeat: safe`); what is cancelled has ended before the journal says so.
"""

from __future__ import annotations

from typing import Protocol

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from reactor.contracts.clock import JUMP, Clock, ahead
from reactor.contracts.errors import (
    ErrorObject,
    Refused,
    StaleClaim,
    StepFailed,
    StoreFailed,
    error_object,
)
from reactor.contracts.event import Event
from reactor.contracts.facts import ActionCrashed, QueuePushed, RunEnded, RunPaused, StepEnded
from reactor.contracts.journal import AnyEntry, Cancelled, Child, Ended, Failed, Shifted
from reactor.contracts.observe import Observer
from reactor.contracts.publish import Prepared, Publisher, Settler
from reactor.contracts.run import Parent, Status
from reactor.contracts.signals import Cancel, signal_of
from reactor.contracts.store import QUEUE_NAME, Claim, Effects, Journal, QueueMessage, Signal
from reactor.contracts.text import clean, shown
from reactor.contracts.tracing import traceparent
from reactor.engine import entries, machine, snapshot
from reactor.engine.phases import CALL, StepPhase
from reactor.engine.state import Run, StepFrame
from reactor.engine.until_space import until_space

PARENT_ENDED = Cancel("the parent ended")
WAITS = ("wake", "until")
LOOK = 5.0
"""Seconds after which a wait for a moment looks at the wall clock again."""
WALK_BUDGET = 2_000
"""Pure steps between two looks at the event loop."""


class Performer(Protocol):
    """Acts for a step; app.py gives the real one, tests give others."""

    async def perform(self, run: Run, frame: StepFrame, deadline: float | None) -> object:
        """The result as plain JSON data. Raises StepFailed."""
        ...


class Live:
    """A run that this process goes on with."""

    def __init__(
        self, run: Run, claim: Claim, seq: int, parent: Parent | None, offset: float = 0.0, shift: float = 0.0
    ) -> None:
        self.run = run
        self.offset = offset
        """What the run's times are ahead of the monotonic clock."""
        self.shift = shift
        """What they are ahead of the store's even time."""
        self.claim = claim
        self.seq = seq
        self.parent = parent
        self.pending: list[AnyEntry] = []
        self.prepared: list[Prepared] = []
        self.pushes: list[QueueMessage] = []
        self.consumed = 0
        self.cleared: set[str] = set()
        """Paths whose written intention is this process's own, not one that a crash left."""
        self.effects: dict[str, Effect] = {}
        self.outcomes: list[tuple[str, AnyEntry]] = []
        self.signalled = False
        self.kick = anyio.Event()
        self.inline: anyio.CancelScope | None = None
        self.answered = False
        self.recovered = False
        self.lost = False
        """Whether the right to the run went to another owner."""

    def lose(self) -> None:
        """Nothing of the run is performed any more."""
        self.lost = True
        self.wake()

    def wake(self) -> None:
        self.kick.set()
        if self.inline is not None:
            self.inline.cancel()


class Effect:
    """An action in flight beside others."""

    def __init__(self, frame: StepFrame) -> None:
        self.frame = frame
        self.scope = anyio.CancelScope()
        self.gone = anyio.Event()


class Runner:
    def __init__(
        self,
        store: Journal,
        publisher: Publisher,
        performer: Performer,
        clock: Clock,
        observer: Observer,
        settler: Settler,
        tracing: bool = False,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._performer = performer
        self._clock = clock
        self._observer = observer
        self._settler = settler
        self.tracing = tracing

        self._by_append = {
            StepPhase.child_start: self._start,
            StepPhase.emit: self._emit,
            StepPhase.queue: self._queue,
        }
        """What needs no more than the append, by kind of command."""

    async def drive(self, live: Live) -> None:
        """Goes on with a run until it ends or waits with nothing in flight. Raises StaleClaim, StoreFailed."""
        goes_on = await self._advance(live)
        while goes_on:
            if self._alone(live):
                await self._inline(live)
                goes_on = await self._advance(live)
            else:
                goes_on = await self._together(live)

    def _alone(self, live: Live) -> bool:
        """Whether one action is open and nothing else can happen but its end, its deadline or a cancellation."""
        run = live.run
        return len(run.open) == 1 and not run.paused and all(kind not in WAITS for _, kind in run.timers)

    async def _advance(self, live: Live) -> bool:
        """Walks, asks, writes. True when actions are open, False when the run ended or was given back."""
        run = live.run
        while True:
            await self._walk(live)
            if run.ended or not self._instant(live):
                break
        await self._reap(live)
        if not run.ended:
            self._intend(live)
            if live.seq + len(live.pending) - live.run.snapshots > machine.MAX_ENTRIES:
                self._fold(live, Cancelled("", self._now(live), f"more than {machine.MAX_ENTRIES:,} entries", "limit"))
                return await self._advance(live)
        performing = any(frame.phase is CALL for frame in run.open.values()) and not run.ended
        if not performing or live.pending or live.prepared or live.consumed or run.outgoing:
            await self._append(live, release=not performing)
        return performing

    async def _walk(self, live: Live) -> None:
        while machine.walk(live.run, WALK_BUDGET):
            await anyio.lowlevel.checkpoint()

    def _time(self, live: Live) -> float:
        """The run's own time: it goes on with the monotonic clock."""
        return self._clock.monotonic() + live.offset

    def _now(self, live: Live) -> float:
        return max(self._time(live), live.run.now)

    def follow_clock(self, live: Live) -> bool:
        """When the wall clock was set anew, a quiet run's times follow it, and its timers by duration move along."""
        jump = ahead(self._clock) - live.offset
        if abs(jump) <= JUMP or live.run.ended:
            return False
        live.offset += jump
        live.shift += jump
        self._fold(live, Shifted("", self._time(live), jump))
        return True

    def _left(self, live: Live) -> float | None:
        """Seconds to the next timer. A moment of the wall clock is looked at again, for that clock may be set."""
        left = [
            min(due - self._clock.now(), LOOK) if kind == "until" else due - self._time(live)
            for (_, kind), due in live.run.timers.items()
        ]
        return max(min(left), 0.0) if left else None

    def _fold(self, live: Live, entry: AnyEntry) -> None:
        machine.fold(live.run, entry)
        live.pending.append(entry)

    def _instant(self, live: Live) -> bool:
        """Performs one `emit` or `run`, which need no more than the append; False when there is none."""
        run = live.run
        for command in machine.commands(run):
            if command.kind is CALL:
                continue
            at = self._now(live)
            try:
                entry = self._by_append[command.kind](live, command.frame, at)
            except StepFailed as error:
                entry = Failed(command.path, at, clean(error.as_object()))
            self._fold(live, entry)
            return True
        return False

    def _emit(self, live: Live, frame: StepFrame, at: float) -> AnyEntry:
        body = frame.step.body
        names = frame.scope.names
        run = live.run
        event = Event(
            type=str(body.type.render(names)),
            source=f"/flows/{run.plan.flow}",
            data=body.data.render(names),
            depth=run.event.event.depth + 1,
            cause=run.id,
            extensions=self._traced(run, frame.path),
        )
        try:
            prepared = self._publisher.event(event, self._clock.now())
        except Refused as error:
            raise StepFailed("emit", str(error), retryable=False) from None
        live.prepared.append(prepared)
        return Ended(frame.path, at, {"event": prepared.acceptance.event.id})

    def _traced(self, run: Run, path: str) -> dict[str, object]:
        """What joins an event of this run to its trace."""
        if not self.tracing and "traceparent" not in run.event.event.extensions:
            return {}
        return {"traceparent": traceparent(run.event, f"{run.id}/{path}/1" if self.tracing else run.id)}

    def _queue(self, live: Live, frame: StepFrame, at: float) -> AnyEntry:
        names = frame.scope.names
        name = frame.step.body.name.render(names)
        if not isinstance(name, str) or not QUEUE_NAME.fullmatch(name):
            raise StepFailed("queue", f"{name!r} is no name of a queue", retryable=False)
        message = self._publisher.message(name, frame.step.body.data.render(names), live.run.id, self._clock.now())
        live.pushes.append(message)
        return Ended(frame.path, at, {"message": message.id})

    def _start(self, live: Live, frame: StepFrame, at: float) -> AnyEntry:
        body = frame.step.body
        run = live.run
        parent = None if body.detach else Parent(run.id, frame.path)
        arguments = body.arguments.render(frame.scope.names)
        prepared = self._publisher.child(body.flow, arguments, parent, run.event.event.depth, self._clock.now())
        if prepared is None:
            raise StepFailed("flow.unknown", f"there is no flow {body.flow}", retryable=False)
        live.prepared.append(prepared)
        return Child(frame.path, at, prepared.acceptance.starts[0].id)

    def _intend(self, live: Live) -> None:
        """Writes the intentions of what is open; what a crash left in flight is judged by its `repeat`."""
        for entry in entries.intentions(live.run, self._now(live), live.cleared, live.recovered):
            self._fold(live, entry)
        for path, frame in live.run.open.items():
            if frame.phase is CALL:
                live.cleared.add(path)

    async def _append(self, live: Live, release: bool) -> None:
        run = live.run
        if release and live.pending and not run.ended and snapshot.due(run):
            taken = snapshot.take(run)
            if taken is not None:
                live.pending.append(taken)
        change = machine.change(run, release)
        change.shift = live.shift
        if run.ended:
            change.at = max(self._now(live), self._clock.now())
        prepared = list(live.prepared)
        if run.ended:
            prepared += self._publisher.ended(run.plan, run.id, change, run.event.event.depth, change.at, live.parent)
        signals = [signal_of(child, PARENT_ENDED) for child in run.outgoing]
        effects = Effects(
            change=change, entries=live.pending, outbox=[one.acceptance for one in prepared], pushes=live.pushes,
            signals=signals, consumed=live.consumed,
        )  # fmt: skip
        appended = await until_space(
            lambda: self._store.append(live.claim, live.seq, effects), self._clock, self._observer, run=run.id
        )
        live.seq += len(live.pending)
        live.pending = []
        live.prepared = []
        live.consumed = 0
        for message in live.pushes:
            self._observer.observe(QueuePushed(queue=message.queue, message_id=message.id))
        live.pushes = []
        run.outgoing.clear()
        self._settler.settle(prepared, appended.accepted)
        if run.ended or (run.response is not None and not live.answered):
            live.answered = run.response is not None
            self._settler.told(run.id, run.plan.flow, change)
        if change.status is Status.paused and change.error is not None:
            self._observer.observe(RunPaused(run=run.id, error=change.error["message"]))
        if run.ended:
            self._observer.observe(
                RunEnded(run=run.id, flow=run.plan.flow, status=change.status.value,
                seconds=max(change.at - run.started, 0.0), started=run.started, stored=run.event,
            ))  # fmt: skip

    async def _inline(self, live: Live) -> None:
        """One action, awaited in this task."""
        run = live.run
        path, frame = next(iter(run.open.items()))
        with anyio.CancelScope() as scope:
            live.inline = scope
            left = self._left(live)
            if left is not None:
                scope.deadline = anyio.current_time() + left
            if not (live.signalled or live.lost):
                entry = await self._perform(live, frame, None if left is None else self._clock.now() + left)
                live.outcomes.append((path, entry))
        live.inline = None
        await self._collect(live)

    async def _perform(self, live: Live, frame: StepFrame, deadline: float | None) -> AnyEntry:
        run = live.run
        started, begun = self._clock.now(), self._clock.monotonic()
        status = "cancelled"
        try:
            value = await self._performer.perform(run, frame, deadline)
            status = "succeeded"
            entry: AnyEntry = Ended(frame.path, self._now(live), value)
        except StepFailed as error:
            status = "failed"
            entry = Failed(frame.path, self._now(live), clean(error.as_object()))
        except (StoreFailed, StaleClaim):
            raise
        except Exception as error:
            self._observer.observe(ActionCrashed(run=run.id, step=frame.path, error=repr(error)))
            status = "failed"
            entry = Failed(frame.path, self._now(live), _broken(error))
        finally:
            self._observer.observe(
                StepEnded(run=run.id, flow=run.plan.flow, step=frame.step.id or frame.path, path=frame.path,
                action=frame.step.body.action, status=status, attempt=frame.attempt,
                seconds=self._clock.monotonic() - begun, started=started, stored=run.event,
            ))  # fmt: skip
        return entry

    async def _together(self, live: Live) -> bool:
        """Several actions at once, until the run ends, waits, or one action is left."""
        goes_on = True
        async with anyio.create_task_group() as group:
            while True:
                _held(live)
                self._launch(live, group)
                await self._wait(live)
                await self._collect(live)
                goes_on = await self._advance(live)
                if not goes_on or (not live.effects and self._alone(live)):
                    break
        return goes_on

    def _launch(self, live: Live, group: anyio.abc.TaskGroup) -> None:
        for path, frame in live.run.open.items():
            if frame.phase is CALL and path not in live.effects:
                effect = Effect(frame)
                live.effects[path] = effect
                group.start_soon(self._effect, live, path, effect)

    async def _effect(self, live: Live, path: str, effect: Effect) -> None:
        try:
            with effect.scope:
                due = effect.frame.deadline
                wall = None if due is None else self._clock.now() + max(due - self._time(live), 0.0)
                entry = await self._perform(live, effect.frame, wall)
                live.outcomes.append((path, entry))
        finally:
            effect.gone.set()
            live.kick.set()

    async def _wait(self, live: Live) -> None:
        if live.outcomes or live.signalled:
            return
        left = self._left(live)
        with anyio.CancelScope() as scope:
            if left is not None:
                scope.deadline = anyio.current_time() + left
            await live.kick.wait()
        live.kick = anyio.Event()

    async def _reap(self, live: Live) -> None:
        """Cancels actions that the run no longer wants, and waits for their end."""
        for path, effect in list(live.effects.items()):
            if live.run.open.get(path) is not effect.frame:
                effect.scope.cancel()
                with anyio.CancelScope(shield=True):
                    await effect.gone.wait()
                live.effects.pop(path, None)
        live.cleared &= set(live.run.open)

    async def _collect(self, live: Live) -> None:
        """Folds what happened: outcomes, signals, due timers; each followed by a walk until quiet."""
        _held(live)
        run = live.run
        outcomes, live.outcomes = live.outcomes, []
        if self.follow_clock(live):
            outcomes = [(path, msgspec.structs.replace(entry, at=self._now(live))) for path, entry in outcomes]
        for path, entry in outcomes:
            live.effects.pop(path, None)
            if path in run.open and not run.ended:
                live.cleared.discard(path)
                self._fold(live, entry)
                await self._walk(live)
        if live.signalled:
            await self.signals(live)
        await self.due(live)

    async def due(self, live: Live) -> None:
        """Folds the timers that came due."""
        run = live.run
        while not run.ended and (entry := self._due_entry(live)) is not None:
            self._fold(live, entry)
            await self._walk(live)

    def _due_entry(self, live: Live) -> AnyEntry | None:
        return entries.due_entry(live.run, self._time(live), self._clock.now())

    async def signals(self, live: Live, known: list[Signal] | None = None) -> None:
        """Folds the signals that are stored for the run."""
        live.signalled = False
        run = live.run
        for signal in known if known is not None else await self._store.signals(run.id, live.consumed):
            live.consumed = max(live.consumed, signal.seq)
            if run.ended:
                continue
            at = self._now(live)
            for entry in entries.of_signal(run, signal, at):
                self._fold(live, entry)
                await self._walk(live)


def _held(live: Live) -> None:
    """Raises StaleClaim once the right to the run is gone."""
    if live.lost:
        raise StaleClaim(f"the lease of {live.claim.owner} went to another")


def _broken(error: Exception) -> ErrorObject:
    return error_object("action.error", shown(f"{type(error).__name__}: {error}"))
