"""Who waits for the end, or the answer, of a run. Lossy by design: the store stays the truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from reactor.contracts.publish import Prepared
from reactor.contracts.run import Change, RunRecord
from reactor.contracts.store import Accepted
from reactor.contracts.trigger import RunOutcome

Read = Callable[[str], Awaitable[RunOutcome | None]]


class Watch:
    """One request's wait for some runs."""

    def __init__(self, waiters: Waiters, runs: list[str]) -> None:
        self._waiters = waiters
        self._runs = runs
        self._found: dict[str, RunOutcome] = {}
        self._elsewhere: set[str] = set()
        self._done = False
        self._news = anyio.Event()

    def tell(self, outcome: RunOutcome) -> None:
        self._found[outcome.run] = outcome
        if outcome.response is not None or len(self._found) == len(self._runs):
            self._done = True
            self._news.set()

    def look(self, run: str) -> None:
        """Another daemon ended the run, or answered for it: the store has the outcome."""
        self._elsewhere.add(run)
        self._news.set()

    async def outcomes(self, seconds: float, read: Read) -> list[RunOutcome] | None:
        """The outcomes of all runs (or of the one that answered), or None when the time was up. `read` gives that of a
        run from the store, None where it has none yet."""
        try:
            if not self._done:
                await self._wait(seconds, read)
            return [self._found[run] for run in self._runs if run in self._found] if self._done else None
        finally:
            self._waiters.drop(self, self._runs)

    async def _wait(self, seconds: float, read: Read) -> None:
        with anyio.move_on_after(seconds):
            while not self._done:
                await self._news.wait()
                self._news = anyio.Event()
                while self._elsewhere and not self._done:
                    outcome = await read(self._elsewhere.pop())
                    if outcome is not None:
                        self.tell(outcome)


class Waiters:
    def __init__(self) -> None:
        self._by_run: dict[str, list[Watch]] = {}

    def watch(self, runs: list[str]) -> Watch:
        watch = Watch(self, runs)
        for run in runs:
            self._by_run.setdefault(run, []).append(watch)
        return watch

    def watch_all(self, accepted: Accepted) -> Watch | None:
        """For the runs of an accepted event; None where it started none."""
        runs = [outcome.run for outcome in accepted.outcomes if outcome.run is not None]
        return self.watch(runs) if runs else None

    def anyone(self, run: str) -> bool:
        """Whether somebody waits for the run."""
        return run in self._by_run

    def tell(self, outcome: RunOutcome) -> None:
        for watch in self._by_run.get(outcome.run, ()):
            watch.tell(outcome)

    def look(self, run: str) -> None:
        for watch in self._by_run.get(run, ()):
            watch.look(run)

    def drop(self, watch: Watch, runs: list[str]) -> None:
        for run in runs:
            rest = [other for other in self._by_run.get(run, ()) if other is not watch]
            if rest:
                self._by_run[run] = rest
            else:
                self._by_run.pop(run, None)


def outcome_of(run: str, flow: str, state: Change | RunRecord) -> RunOutcome:
    """How a run stands, for those who wait for it."""
    return RunOutcome(
        run=run,
        flow=flow,
        status=state.status.value,
        output=state.output,
        error=state.error,
        response=state.response,
    )


def ended_at_once(accepted: Accepted, prepared: Prepared) -> list[RunOutcome] | None:
    """The outcomes, when all runs ended in the accepting transaction: nobody has to wait then."""
    found = []
    for outcome in accepted.outcomes:
        change = prepared.changes.get(outcome.run or "")
        if change is None or not (change.status.ended or change.response is not None):
            return None
        found.append(outcome_of(str(outcome.run), outcome.flow, change))
    return found or None
