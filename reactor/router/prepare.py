"""Events made ready to be stored: matched against the flows, their runs begun. Nothing is stored here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from reactor.contracts.clock import Ids
from reactor.contracts.decider import Decider
from reactor.contracts.errors import Refused, StepFailed
from reactor.contracts.event import RESERVED_PREFIX, Cursor, Event, StoredEvent, Verdict
from reactor.contracts.plan import Plan, Trigger
from reactor.contracts.publish import Prepared
from reactor.contracts.run import Change, Parent, Start, Status
from reactor.contracts.store import Acceptance, QueueMessage
from reactor.router.admit import Admission, admit, event_names
from reactor.router.match import FlowSet


class Beginning(Protocol):
    """What the pool says about runs that are to begin."""

    def has_room(self) -> bool:
        """Whether one more run may be in memory."""
        ...

    def walks(self) -> bool:
        """Whether runs may be begun before they are stored."""
        ...

    def shift(self) -> float:
        """Seconds that the wall clock is ahead of the time in which durations are counted."""
        ...


class Preparer:
    """Fulfils `Publisher`. `flows` gives the present set; `environment` the variables that flows may read."""

    def __init__(
        self,
        decider: Decider,
        ids: Ids,
        flows: Callable[[], FlowSet],
        pool: Beginning,
        owner: str,
        environment: Mapping[str, str],
    ) -> None:
        self._decider = decider
        self._ids = ids
        self._flows = flows
        self._pool = pool
        self._owner = owner
        self._environment = environment

    def listens(self, type: str) -> bool:
        """Whether a loaded flow has an `event` trigger for the type."""
        return self._flows().listens(type)

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
            shift=self._pool.shift(),
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
        elif self._pool.walks():
            self._walk(prepared, plan, start, at)
        prepared.acceptance.starts.append(start)

    def _walk(self, prepared: Prepared, plan: Plan, start: Start, at: float) -> None:
        stored = prepared.acceptance.event
        begun = self._decider.begin(plan, stored, start.id, start.trigger, at, start.environment, start.bounds)
        if begun.live is not None and begun.change.status is Status.running and not self._pool.has_room():
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


def _manual(name: str) -> Trigger:
    return Trigger(kind="manual", name=name, options=None, source="manual")


def _unguarded(plan: Plan) -> Plan:
    return dataclasses.replace(plan, only_if=(), unless=(), dedupe=None, enabled=True)
