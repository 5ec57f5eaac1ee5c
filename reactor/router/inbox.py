"""The one way in: every event, from every kind of source, is matched, begun, committed and then acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from reactor.contracts.clock import Clock
from reactor.contracts.errors import Overloaded, Refused
from reactor.contracts.event import Cursor, Event, Upload, Verdict
from reactor.contracts.facts import EventRefused
from reactor.contracts.observe import Observer
from reactor.contracts.publish import Prepared
from reactor.contracts.store import Accepted, Store
from reactor.contracts.trigger import Receipt, RunOutcome, RunRef
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.router.waiters import ended_at_once, outcome_of

MAX_IN_FLIGHT = 2048
"""Events that may be between their source and the commit."""


class Inbox:
    """Accepts events. `closed` refuses what comes: the daemon is stopping."""

    def __init__(
        self, store: Store, preparer: Preparer, settlement: Settlement, clock: Clock, observer: Observer
    ) -> None:
        self._store = store
        self._preparer = preparer
        self._settlement = settlement
        self._waiters = settlement.waiters
        self._clock = clock
        self._observer = observer
        self._in_flight = 0
        self._room = anyio.Event()
        store.watch(settlement.hear)
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
            prepared = self._preparer.prepare(origin, event, self._clock.now(), cursors=cursors)
            if not prepared.acceptance.starts:
                _refuse_invalid(prepared.verdicts)
            prepared.acceptance.taken = taken
            if uploads:
                prepared.acceptance.uploads = list(uploads)
            return await self.commit(prepared, wait, shield)
        except Refused as error:
            self._observer.observe(EventRefused(origin=origin, type=event.type, status=error.status))
            raise
        except Overloaded as error:
            self._observer.observe(EventRefused(origin=origin, type=event.type, status=503, error=str(error)))
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
        known = ended_at_once(accepted, prepared) if wait is not None else None
        waiting = self._waiters.watch_all(accepted) if wait is not None and known is None else None
        self._settlement.settle([prepared], [accepted])
        receipt = Receipt(
            event=accepted.event,
            runs=[RunRef(o.run, o.flow) for o in accepted.outcomes if o.run is not None],
            verdicts=verdicts,
            duplicate=accepted.duplicate,
        )
        if known is not None:
            receipt.outcomes = known
        elif waiting is not None and wait is not None:
            await self._tell_ended(accepted)
            receipt.outcomes = await waiting.outcomes(wait, self._read)
        return receipt

    async def _tell_ended(self, accepted: Accepted) -> None:
        """A duplicate's run may have ended long ago: whoever waits for it gets that run's answer."""
        for outcome in accepted.outcomes:
            if outcome.run is not None and (accepted.duplicate or outcome.verdict == "duplicate"):
                known = await self._read(outcome.run)
                if known is not None:
                    self._waiters.tell(known)

    async def _read(self, run: str) -> RunOutcome | None:
        """The outcome of a run that has one, as the store has it."""
        record = await self._store.run(run)
        if record is None or not (record.status.ended or record.response is not None):
            return None
        return outcome_of(record.id, record.flow, record)

    async def tell(self, type: str, source: str, data: Any) -> None:
        """An event of the daemon's own, when a flow listens to its type. Raises Overloaded."""
        if self._preparer.listens(type):
            event = Event(type=type, source=source, data=data)
            await self.commit(self._preparer.prepare("event", event, self._clock.now(), own=True))


def _refuse_invalid(verdicts: list[Verdict]) -> None:
    """An event that only flows with another schema would take is refused to its sender."""
    invalid = [verdict for verdict in verdicts if verdict.verdict == "invalid"]
    if invalid and len(invalid) == len(verdicts):
        raise Refused(422, "The event does not fit", "; ".join(verdict.message or "" for verdict in invalid))
