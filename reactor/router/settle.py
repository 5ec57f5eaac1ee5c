"""After the commit: runs that were started go on, and whoever waits or listens is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from reactor.contracts.clock import Clock
from reactor.contracts.event import StoredEvent, Verdict
from reactor.contracts.facts import EventAccepted, RunEnded, RunStarted
from reactor.contracts.observe import Observer
from reactor.contracts.publish import Prepared
from reactor.contracts.run import Change, Start
from reactor.contracts.store import Acceptance, Accepted, Hints
from reactor.router.waiters import Waiters, outcome_of


class Adopter(Protocol):
    """What the pool does with runs that were begun and are claimed."""

    def adopt(self, live: Any, run: str, start: Start, token: int) -> None: ...

    def drives(self, run: str) -> bool:
        """Whether it goes on with the run, and so tells of its end."""
        ...


class Settlement:
    """Fulfils `Settler`."""

    def __init__(self, pool: Adopter, clock: Clock, observer: Observer) -> None:
        self._pool = pool
        self._clock = clock
        self._observer = observer
        self.waiters = Waiters()

    def told(self, run: str, flow: str, change: Change) -> None:
        self.waiters.tell(outcome_of(run, flow, change))

    def hear(self, hints: Hints) -> None:
        """A run that somebody here waits for may end in another daemon. Of its own runs the pool tells."""
        for run in hints.ended:
            if self.waiters.anyone(run) and not self._pool.drives(run):
                self.waiters.look(run)

    def settle(self, prepared: Sequence[Prepared], accepted: Sequence[Accepted]) -> None:
        for one, answer in zip(prepared, accepted, strict=True):
            if answer.duplicate:
                continue
            self._accepted(one.acceptance.event, [*answer.verdicts, *one.verdicts] if one.verdicts else answer.verdicts)
            self._settle(one, one.acceptance, answer)

    def _accepted(self, stored: StoredEvent, verdicts: list[Verdict]) -> None:
        self._observer.observe(
            EventAccepted(event=stored.id, type=stored.event.type, origin=stored.origin,
            seconds=max(self._clock.now() - stored.at, 0.0), verdicts=verdicts, stored=stored,
        ))  # fmt: skip

    def _settle(self, prepared: Prepared, acceptance: Acceptance, answer: Accepted) -> None:
        follow = iter(answer.follow)
        for start, outcome in zip(acceptance.starts, answer.outcomes, strict=False):
            if outcome.verdict != "started":
                continue
            live = prepared.lives.get(start.id)
            if live is not None and not outcome.token:
                continue  # it begins where it is claimed
            if live is not None:
                self._observer.observe(RunStarted(run=start.id, flow=start.flow, event=acceptance.event.id))
                self._pool.adopt(live, start.id, start, outcome.token)
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
            for other, made in zip(start.follow, follow, strict=False):
                self._accepted(other.event, made.verdicts)
                self._settle(prepared, other, made)
