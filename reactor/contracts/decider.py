"""How the router asks the engine what the start of a run will do, without knowing the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reactor.contracts.event import StoredEvent
from reactor.contracts.plan import Plan
from reactor.contracts.run import Begun


class Decider(Protocol):
    def begin(
        self,
        plan: Plan,
        event: StoredEvent,
        run_id: str,
        trigger: str,
        at: float,
        environment: dict[str, str],
        bounds: int,
        events: Sequence[StoredEvent] = (),
    ) -> Begun:
        """Walks the pure prefix of a run, at most 1,000 steps. Pure itself: the same arguments, the same answer."""
        ...
