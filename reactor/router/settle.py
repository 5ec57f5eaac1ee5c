"""After the commit: what was started is gone on with, and whoever waits or listens is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from reactor.contracts.clock import Clock
from reactor.contracts.event import StoredEvent, Verdict
from reactor.contracts.facts import EventAccepted, RunEnded, RunStarted
from reactor.contracts.observe import Observer
from reactor.contracts.publish import Prepared
from reactor.contracts.run import Change, Start
from reactor.contracts.store import Acceptance, Accepted
from reactor.router.waiters import Waiters, outcome_of


class Adopter(Protocol):
    """What the pool does with runs that were begun and are claimed."""

    def adopt(self, live: Any, run: str, start: Start) -> None: ...


class Settlement:
    """Fulfils `Settler`."""

    def __init__(self, pool: Adopter, clock: Clock, observer: Observer) -> None:
        self._pool = pool
        self._clock = clock
        self._observer = observer
        self.waiters = Waiters()

    def told(self, run: str, flow: str, change: Change) -> None:
        self.waiters.tell(outcome_of(run, flow, change))

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
            EventAccepted(event=stored.id, type=stored.event.type, origin=stored.origin,
            seconds=max(self._clock.now() - stored.at, 0.0), verdicts=verdicts, stored=stored,
        ))  # fmt: skip

    def _settle(self, prepared: Prepared, acceptance: Acceptance, started: set[str | None]) -> None:
        for start in acceptance.starts:
            if start.id not in started:
                continue
            live = prepared.lives.get(start.id)
            if live is not None and start.begun is not None:
                self._observer.observe(RunStarted(run=start.id, flow=start.flow, event=acceptance.event.id))
                self._pool.adopt(live, start.id, start)
            change = start.begun.change if start.begun is not None else None
            if change is None:
                continue
            ended = change.status.ended
            if (ended or change.response is not None) and self.waiters.anyone(start.id):
                self.waiters.tell(outcome_of(start.id, start.flow, change))
            if ended:
                self._observer.observe(
                    RunEnded(run=start.id, flow=start.flow, status=change.status.value,
                    seconds=max(change.at - start.at, 0.0), started=start.at, stored=acceptance.event,
                ))  # fmt: skip
            for follow in start.follow:
                made = [Verdict(flow=other.flow, verdict="started", run=other.id) for other in follow.starts]
                self._accepted(follow.event, made)
                self._settle(prepared, follow, {other.id for other in follow.starts})
