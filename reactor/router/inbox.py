"""The one way in: every event, from every kind of source, is matched, begun, committed and then acknowledged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anyio

from reactor.contracts.clock import Clock, Ids
from reactor.contracts.decider import Decider
from reactor.contracts.errors import Overloaded, Refused, StepFailed
from reactor.contracts.event import RESERVED_PREFIX, Cursor, Event, StoredEvent, Upload, Verdict
from reactor.contracts.observe import Observer
from reactor.contracts.plan import Plan, Trigger
from reactor.contracts.publish import Prepared
from reactor.contracts.run import Change, Parent, Start, Status
from reactor.contracts.store import Acceptance, Accepted, QueueMessage, Store
from reactor.contracts.trigger import Receipt, RunOutcome, RunRef
from reactor.router.match import Admission, FlowSet, admit, event_names
from reactor.router.waiters import Waiters

MAX_IN_FLIGHT = 2048
"""Events that may be between their source and the commit."""


class Engine(Protocol):
    """What the inbox asks of the pool."""

    def has_room(self) -> bool: ...

    def walks(self) -> bool: ...

    def shift(self) -> float: ...

    def adopt(self, live: Any, run: str, start: Start) -> None: ...


class Inbox:
    """Accepts events. `flows` gives the present set; `environment` the variables that flows may read."""

    def __init__(
        self,
        store: Store,
        decider: Decider,
        clock: Clock,
        ids: Ids,
        flows: Callable[[], FlowSet],
        engine: Engine,
        owner: str,
        environment: dict[str, str],
        observer: Observer,
    ) -> None:
        self._store = store
        self._decider = decider
        self._clock = clock
        self._ids = ids
        self._flows = flows
        self._engine = engine
        self._owner = owner
        self._environment = environment
        self._observer = observer
        self._in_flight = 0
        self._room = anyio.Event()
        self.waiters = Waiters()
        self.closed = False

    async def emit(
        self,
        origin: str,
        event: Event,
        wait: float | None = None,
        cursors: Sequence[Cursor] = (),
        uploads: Sequence[Upload] = (),
        taken: str | None = None,
        shield: bool = True,
    ) -> Receipt:
        """Returns when the event is durable. Raises Overloaded (nothing stored) and Refused. `shield` is False for
        callers that nobody cancels."""
        try:
            prepared = self.prepare(origin, event, self._clock.now(), cursors=cursors)
            if not prepared.acceptance.starts:
                _refuse_invalid(prepared.verdicts)
            prepared.acceptance.taken = taken
            if uploads:
                prepared.acceptance.uploads = list(uploads)
            return await self.commit(prepared, wait, shield)
        except Refused as error:
            self._observer.observe("event.refused", origin=origin, type=event.type, status=error.status)
            raise
        except Overloaded as error:
            self._observer.observe("event.refused", origin=origin, type=event.type, status=503, error=str(error))
            raise

    async def room(self) -> None:
        """Waits until another event may be taken: backpressure for sources that can wait."""
        while self._in_flight >= MAX_IN_FLIGHT:
            await self._room.wait()

    async def commit(self, prepared: Prepared, wait: float | None = None, shield: bool = True) -> Receipt:
        """What is on its way to the disk is waited for, also when the caller is cancelled: its runs are claimed by this
        daemon, and nobody else would take them up."""
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Overloaded("too many events are being accepted", 1.0)
        if self.closed:
            raise Overloaded("the daemon is stopping", 5.0)
        self._in_flight += 1
        try:
            if shield:
                with anyio.CancelScope(shield=True):
                    accepted = await self._store.accept(prepared.acceptance)
            else:
                accepted = await self._store.accept(prepared.acceptance)
        finally:
            self._in_flight -= 1
            if self._in_flight == MAX_IN_FLIGHT - 1:
                self._room.set()
                self._room = anyio.Event()
        verdicts = [*accepted.verdicts, *prepared.verdicts]
        known = self._known(accepted, prepared) if wait is not None else None
        waiting = self._watch(accepted, wait) if known is None else None
        self.settle([prepared], [accepted])
        receipt = Receipt(
            event=accepted.event,
            runs=[RunRef(o.run, o.flow) for o in accepted.outcomes if o.run is not None],
            verdicts=verdicts,
            duplicate=accepted.duplicate,
        )
        if known is not None:
            receipt.outcomes = known
        elif waiting is not None and wait is not None:
            await self._tell_known(accepted)
            receipt.outcomes = await waiting.outcomes(wait)
        return receipt

    async def _tell_known(self, accepted: Accepted) -> None:
        """A duplicate's run may have ended long ago: whoever waits for it gets that run's answer."""
        for outcome in accepted.outcomes:
            if outcome.run is not None and (accepted.duplicate or outcome.verdict == "duplicate"):
                record = await self._store.run(outcome.run)
                if record is not None and (record.status.ended or record.response is not None):
                    self.waiters.tell(
                        RunOutcome(
                            run=record.id,
                            flow=record.flow,
                            status=record.status.value,
                            output=record.output,
                            error=record.error,
                            response=record.response,
                        )
                    )

    def _known(self, accepted: Accepted, prepared: Prepared) -> list[RunOutcome] | None:
        """The outcomes, when all runs ended in the accepting transaction: nobody has to wait then."""
        found = []
        for outcome in accepted.outcomes:
            change = prepared.changes.get(outcome.run or "")
            if change is None or not (change.status.ended or change.response is not None):
                return None
            found.append(outcome_of(str(outcome.run), outcome.flow, change))
        return found or None

    def _watch(self, accepted: Accepted, wait: float | None) -> Any:
        if wait is None:
            return None
        runs = [outcome.run for outcome in accepted.outcomes if outcome.run is not None]
        return self.waiters.watch(runs) if runs else None

    def prepare(
        self, origin: str, event: Event, at: float, own: bool = False, cursors: Sequence[Cursor] = ()
    ) -> Prepared:
        """Matches an event and begins its runs, storing nothing. Raises Refused."""
        if not own and event.type.startswith(RESERVED_PREFIX):
            raise Refused(403, "Reserved type", f"types that begin with {RESERVED_PREFIX} are the daemon's own")
        flows = self._flows()
        stored = StoredEvent(id=self._ids.new("evt_"), event=event, at=at, origin=origin, flows=flows.hash)
        if event.invalid is not None:
            return self._dead_letter(stored, flows, cursors)
        names = event_names(stored)
        prepared = Prepared(
            acceptance=Acceptance(event=stored, cursors=list(cursors), owner=self._owner),
            lives={},
            changes={},
        )
        admissions = []
        for plan, trigger in flows.candidates(stored, names):
            answer = admit(plan, trigger, stored, names)
            if isinstance(answer, Admission):
                admissions.append(answer)
            else:
                prepared.verdicts.append(answer)
                if answer.verdict == "depth":
                    stored.verdicts.append(answer)
        for admission in admissions:
            self._begin(prepared, admission, at)
        return prepared

    def _dead_letter(self, stored: StoredEvent, flows: FlowSet, cursors: Sequence[Cursor]) -> Prepared:
        """Kept with its reason, the verdict `invalid` for each flow that listens to its source."""
        stored.invalid = stored.event.invalid
        for plan, trigger in flows.triggers():
            if trigger.source == stored.origin:
                verdict = Verdict(flow=plan.flow, verdict="invalid", message=stored.invalid, trigger=trigger.name)
                stored.verdicts.append(verdict)
        acceptance = Acceptance(event=stored, cursors=list(cursors), owner=self._owner)
        return Prepared(acceptance=acceptance, lives={}, changes={})

    def _begin(self, prepared: Prepared, admission: Admission, at: float, parent: Parent | None = None) -> None:
        plan = admission.plan
        start = Start(
            id=self._ids.new("run_"),
            flow=plan.flow,
            version=plan.version,
            trigger=admission.trigger.name,
            at=at,
            shift=self._engine.shift(),
            environment={n: self._environment[n] for n in plan.environment if n in self._environment}
            if plan.environment
            else {},
            parent=parent,
        )
        if admission.dedupe_key is not None and plan.dedupe is not None:
            start.dedupe_key = admission.dedupe_key
            start.dedupe_seconds = plan.dedupe.seconds
            start.dedupe_reuse = plan.dedupe.reuse
        if plan.concurrency is not None:
            start.concurrency_key = admission.concurrency_key
            start.limit = plan.concurrency.limit
            start.when_busy = plan.concurrency.when_busy
            start.waiting = plan.concurrency.waiting
        elif self._engine.walks():
            self._walk(prepared, plan, start, at)
        prepared.acceptance.starts.append(start)

    def _walk(self, prepared: Prepared, plan: Plan, start: Start, at: float) -> None:
        stored = prepared.acceptance.event
        begun = self._decider.begin(plan, stored, start.id, start.trigger, at, start.environment, start.bounds)
        if begun.live is not None and begun.change.status is Status.running and not self._engine.has_room():
            return
        start.begun = begun
        if begun.live is not None and begun.change.status is Status.running:
            prepared.lives[start.id] = begun.live
        else:
            begun.live = None
            prepared.changes[start.id] = begun.change
            if begun.change.status.ended:
                for other in self.ended(plan, start.id, begun.change, stored.event.depth, at, start.parent):
                    start.follow.append(other.acceptance)
                    prepared.lives.update(other.lives)
                    prepared.changes.update(other.changes)

    async def tell(self, type: str, source: str, data: Any) -> None:
        """An event of the daemon's own, when a flow listens to its type. Raises Overloaded."""
        if self._flows().listens(type):
            event = Event(type=type, source=source, data=data)
            await self.commit(self.prepare("event", event, self._clock.now(), own=True))

    def event(self, event: Event, at: float) -> Prepared:
        return self.prepare("event", event, at)

    def message(self, queue: str, data: Any, cause: str | None, at: float) -> QueueMessage:
        return QueueMessage(id=self._ids.new("msg_"), queue=queue, data=data, at=at, cause=cause)

    def ended(
        self, plan: Plan, run: str, change: Change, depth: int, at: float, parent: Parent | None
    ) -> list[Prepared]:
        events = []
        source = f"/flows/{plan.flow}"
        if plan.emit is not None and change.status is Status.succeeded:
            events.append(Event(type=plan.emit, source=source, data=change.output, depth=depth + 1, cause=run))
        prepared = [self.prepare("event", event, at) for event in events]
        own = f"{RESERVED_PREFIX}run.{change.status.value}"
        if self._flows().listens(own):
            data = {"run": run, "flow": plan.flow, "status": change.status.value, "output": change.output}
            event = Event(type=own, source=source, data={**data, "error": change.error}, depth=depth + 1, cause=run)
            prepared.append(self.prepare("event", event, at, own=True))
        return prepared

    def child(self, flow: str, arguments: Any, parent: Parent | None, depth: int, at: float) -> Prepared | None:
        plan = self._flows().plans.get(flow)
        if plan is None:
            return None
        if plan.inputs is not None:
            problems = plan.inputs.problems(arguments)
            if problems:
                raise StepFailed(
                    "flow.inputs",
                    f"the inputs of {flow} do not fit: {'; '.join(problems[:5])}",
                    retryable=False,
                )
        event = Event(type="flow.run", source=f"/flows/{flow}", data=arguments, depth=depth)
        return self.start(plan, event, "flow", at, parent)

    def start(self, plan: Plan, event: Event, trigger: str, at: float, parent: Parent | None = None) -> Prepared:
        """Starts one flow by name: guards and dedupe are not applied, concurrency is."""
        stored = StoredEvent(id=self._ids.new("evt_"), event=event, at=at, origin="manual", flows=self._flows().hash)
        prepared = Prepared(acceptance=Acceptance(event=stored, owner=self._owner), lives={}, changes={})
        key = None
        if plan.concurrency is not None:
            answer = admit(_unguarded(plan), _manual(trigger), stored, event_names(stored))
            if isinstance(answer, Verdict):
                raise StepFailed("expression", answer.message or "the concurrency key cannot be computed")
            key = answer.concurrency_key
        self._begin(prepared, Admission(plan, _manual(trigger), None, key), at, parent)
        return prepared

    def settle(self, prepared: Sequence[Prepared], accepted: Sequence[Accepted]) -> None:
        for one, answer in zip(prepared, accepted, strict=True):
            if answer.duplicate:
                continue
            self._accepted(one.acceptance.event, [*answer.verdicts, *one.verdicts] if one.verdicts else answer.verdicts)
            self._settle(
                one,
                one.acceptance,
                {outcome.run for outcome in answer.outcomes if outcome.verdict == "started"},
            )

    def _accepted(self, stored: StoredEvent, verdicts: list[Verdict]) -> None:
        self._observer.observe(
            "event.accepted", event=stored.id, type=stored.event.type, origin=stored.origin,
            seconds=max(self._clock.now() - stored.at, 0.0), _verdicts=verdicts, _event=stored,
        )  # fmt: skip

    def _settle(self, prepared: Prepared, acceptance: Acceptance, started: set[str | None]) -> None:
        for start in acceptance.starts:
            if start.id not in started:
                continue
            live = prepared.lives.get(start.id)
            if live is not None and start.begun is not None:
                self._observer.observe("run.started", run=start.id, flow=start.flow, event=acceptance.event.id)
                self._engine.adopt(live, start.id, start)
            change = start.begun.change if start.begun is not None else None
            if change is None:
                continue
            ended = change.status.ended
            if (ended or change.response is not None) and self.waiters.anyone(start.id):
                self.waiters.tell(outcome_of(start.id, start.flow, change))
            if ended:
                self._observer.observe(
                    "run.ended", run=start.id, flow=start.flow, status=change.status.value,
                    seconds=max(change.at - start.at, 0.0), _started=start.at, _event=acceptance.event,
                )  # fmt: skip
            for follow in start.follow:
                made = [Verdict(flow=other.flow, verdict="started", run=other.id) for other in follow.starts]
                self._accepted(follow.event, made)
                self._settle(prepared, follow, {other.id for other in follow.starts})


def outcome_of(run: str, flow: str, change: Change) -> RunOutcome:
    """How a run stands, for those who wait for it."""
    return RunOutcome(
        run=run,
        flow=flow,
        status=change.status.value,
        output=change.output,
        error=change.error,
        response=change.response,
    )


def _refuse_invalid(verdicts: list[Verdict]) -> None:
    """An event that only flows with another schema would take is refused to its sender."""
    invalid = [verdict for verdict in verdicts if verdict.verdict == "invalid"]
    if invalid and len(invalid) == len(verdicts):
        raise Refused(422, "The event does not fit", "; ".join(verdict.message or "" for verdict in invalid))


def _manual(name: str) -> Trigger:
    return Trigger(kind="manual", name=name, options=None, source="manual")


def _unguarded(plan: Plan) -> Plan:
    return dataclasses.replace(plan, only_if=(), unless=(), dedupe=None, enabled=True)
