"""How the engine hands events and sub-flows to the router, to be committed with its own append."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from reactor.contracts.event import Event
from reactor.contracts.plan import Plan
from reactor.contracts.run import Change, Parent
from reactor.contracts.store import Acceptance, Accepted, QueueMessage


class Prepared(msgspec.Struct, kw_only=True):
    """An event that is matched and whose starts are begun, not stored yet. `lives` are runs to go on with when the
    commit has them started, by run id."""

    acceptance: Acceptance
    lives: dict[str, Any]
    changes: dict[str, Change]
    """How the runs stand that need no engine any more, by run id."""
    verdicts: list[Any] = msgspec.field(default_factory=list)


class Publisher(Protocol):
    def event(self, event: Event, at: float) -> Prepared:
        """An event that a step emits."""
        ...

    def message(self, queue: str, data: Any, cause: str | None, at: float) -> QueueMessage:
        """A message that a step pushes; a new id."""
        ...

    def ended(
        self, plan: Plan, run: str, change: Change, depth: int, at: float, parent: Parent | None
    ) -> list[Prepared]:
        """What the end of a run publishes: the flow's `emit`, and the daemon's own event when something listens."""
        ...

    def child(self, flow: str, arguments: Any, parent: Parent | None, depth: int, at: float) -> Prepared | None:
        """A sub-flow's start; None when there is no such flow. Raises StepFailed when its inputs do not fit."""
        ...


class Settler(Protocol):
    """Who is told when a commit is done."""

    def settle(self, prepared: Sequence[Prepared], accepted: Sequence[Accepted]) -> None:
        """Goes on with what was started by what was prepared."""
        ...

    def told(self, run: str, flow: str, change: Change) -> None:
        """A run answered or ended: those who wait for it get that."""
        ...
