"""A run as the rooms hand it to one another."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from reactor.contracts.errors import ErrorObject
from reactor.contracts.journal import AnyEntry
from reactor.contracts.plan import BOUNDS


class Status(enum.StrEnum):
    """`waiting`: for time or a child. `paused`: only for what a person must resume."""

    queued = "queued"
    running = "running"
    waiting = "waiting"
    paused = "paused"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def ended(self) -> bool:
        return self is Status.succeeded or self is Status.failed or self is Status.cancelled


class Change(msgspec.Struct, kw_only=True):
    """What an append (or the accepting transaction) says about a run as a whole. `wake` is the next due time in
    seconds since the epoch, or None when only a signal can wake the run."""

    status: Status
    at: float
    wake: float | None = None
    until: float | None = None
    """The next moment of the wall clock that the run waits for (`wait: {at: …}`); `wake` is by duration."""
    output: Any = None
    error: ErrorObject | None = None
    response: dict[str, Any] | None = None
    started: float | None = None
    """When the run began; kept from the first change that says it."""
    shift: float | None = None
    """What the run's times are ahead of the even time from now on, where that changed."""
    release: bool = False
    """Give the claim back with the commit."""


class Begun(msgspec.Struct, kw_only=True):
    """What `Decider.begin` found in the pure prefix: entries to store with the start, the change, and the live run
    (opaque to the router) when there is something left to perform."""

    entries: list[AnyEntry]
    change: Change
    live: Any = None


class Parent(msgspec.Struct, frozen=True):
    run: str
    path: str


class Start(msgspec.Struct, kw_only=True):
    """A run to make in the accepting transaction."""

    id: str
    flow: str
    version: str
    trigger: str
    at: float
    shift: float = 0.0
    """What `at`, and all times of the run, are ahead of the even time in which durations are counted."""
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    bounds: int = BOUNDS
    """Number of the set of bounds under which its expressions are evaluated, now and at each recovery."""
    parent: Parent | None = None
    dedupe_key: str | None = None
    dedupe_seconds: float = 0.0
    dedupe_reuse: str = "any"
    concurrency_key: str | None = None
    limit: int = 1
    when_busy: str = "queue"
    waiting: int = 10_000
    begun: Begun | None = None
    """None: the run is stored queued, and starts when its turn comes."""
    follow: list[Any] = msgspec.field(default_factory=list)
    """Acceptances that belong to the same transaction when the start is made: what the run's end publishes."""


class RunRecord(msgspec.Struct, kw_only=True):
    """A run as the store has it."""

    id: str
    flow: str
    version: str
    event: str
    trigger: str
    status: Status
    created: float
    started: float | None = None
    ended: float | None = None
    wake: float | None = None
    parent: Parent | None = None
    output: Any = None
    error: ErrorObject | None = None
    response: dict[str, Any] | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    bounds: int = 1
    """A run that was stored before this was kept has the first set."""
    events: list[str] = msgspec.field(default_factory=list)
    """Ids of all merged events (`when_busy: latest`), oldest first."""
    next_seq: int = 0
    shift: float = 0.0
