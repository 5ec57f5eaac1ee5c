"""The two protocols of the store: `Journal` speaks meaning for the engine, `Runs` answers people's questions.

Every verb of `Journal` is one transaction. What it returns is durable: after a power cut the state is that of the
last verb that returned, or of a later one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from reactor.contracts.collections import ItemStore
from reactor.contracts.event import Cursor, StoredEvent, Upload, Verdict
from reactor.contracts.journal import AnyEntry
from reactor.contracts.lease import Held, Lease
from reactor.contracts.run import Change, RunRecord, Start


class Acceptance(msgspec.Struct, kw_only=True):
    """An event with everything it starts. `cursors` move in the same transaction. `store_event` is False where
    the event is only carried (a sub-flow's)."""

    event: StoredEvent
    starts: list[Start] = msgspec.field(default_factory=list)
    cursors: list[Cursor] = msgspec.field(default_factory=list)
    uploads: list[Upload] = msgspec.field(default_factory=list)
    taken: str | None = None
    """The queue message that this event is made of; it is no more waiting with the commit."""
    owner: str = ""
    signals: Sequence[Signal] = ()
    """Told to runs in the same transaction; a run that cannot take its signal any more is passed over. A duplicate
    tells none."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one start: `started duplicate merged busy`; `run` is the first run for a duplicate. `token` is
    that of the claim when the run was accepted already claimed by the accepting owner; else 0."""

    flow: str
    verdict: str
    run: str | None
    token: int = 0


class Accepted(msgspec.Struct, kw_only=True):
    """The answer of `accept` for one event. `duplicate`: the event's own key was known; id and outcomes are the
    first one's, and nothing was stored."""

    event: str
    outcomes: list[Outcome]
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    duplicate: bool = False
    follow: Sequence[Accepted] = ()
    """The answers for what the started starts had to follow, in order."""


class Signal(msgspec.Struct, kw_only=True):
    """A message to a run, stored until the run has folded it: `cancel child resume retry`."""

    run: str
    kind: str
    body: dict[str, Any] = msgspec.field(default_factory=dict)
    seq: int = 0


class Claim(msgspec.Struct, frozen=True):
    """The right to append to a run until someone else claims it, which may be when the owner's lease is over. `token`
    grows with each claim of the run and is compared at every append."""

    run: str
    owner: str
    token: int


class Claimed(msgspec.Struct, kw_only=True):
    """A run to go on with, and all that is needed for it."""

    claim: Claim
    record: RunRecord
    event: StoredEvent
    events: list[StoredEvent]
    entries: list[AnyEntry] | None
    """None for a run that the claimer holds in memory as it is after the record's last entry (`Journal.held`)."""
    signals: list[Signal]


class Effects(msgspec.Struct, kw_only=True):
    """All that one append does, in one transaction: entries of the run, how it stands then, and what it sends."""

    change: Change
    entries: Sequence[AnyEntry] = ()
    outbox: Sequence[Acceptance] = ()
    """Events that the run sends, with what they start."""
    pushes: Sequence[QueueMessage] = ()
    signals: Sequence[Signal] = ()
    """To other runs; one that cannot take its signal any more is passed over."""
    consumed: int = 0
    """The highest sequence number of a signal to the run that is folded now, and goes."""


class Appended(msgspec.Struct, kw_only=True):
    """The answer of `append`: what became of the outbox, in order."""

    accepted: list[Accepted]


QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""What a queue may be called."""


class QueueMessage(msgspec.Struct, kw_only=True):
    """A message of a named queue."""

    id: str
    queue: str
    data: Any
    at: float
    cause: str | None = None
    """The run that pushed it."""
    invalid: str | None = None
    """Why it cannot be read: it becomes a dead letter."""


class QueueState(msgspec.Struct, kw_only=True):
    """How a queue stands: messages that wait, messages whose runs have not ended, when the oldest was pushed."""

    name: str
    waiting: int
    active: int
    oldest: float | None


class PlanRecord(msgspec.Struct, kw_only=True):
    """The source of a version, enough to compile it again."""

    version: str
    flow: str
    file: str
    folder: str
    source: str
    language: int
    context: dict[str, str] = msgspec.field(default_factory=dict)
    at: float = 0.0


FlowFiles = Mapping[str, Mapping[str, str]]
"""Flow files by absolute path, with the version of each flow that they gave last."""


class PayloadFolder(Protocol):
    """Where large payloads stand."""

    folder: Path
    incoming: Path
    """Where uploads are written before they are accepted; whoever writes makes the folder."""

    def path(self, sha256: str) -> Path:
        """Where a payload stands once it is accepted."""
        ...


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What commits, of whatever owner, may have changed for others. They may be lost, come twice, or come for nothing:
    the store stays the truth."""

    due: bool = False
    """Something may be claimed now."""
    signalled: Sequence[str] = ()
    """Claimed runs that have new signals."""
    ended: Sequence[str] = ()
    """Runs that ended, or answered, after they were accepted: whoever waits for one may look. A queue may have a place
    again. Of what ends in its accepting transaction nobody else knows yet, so it is not told."""
    queues: Sequence[str] = ()
    """Queues that have new messages."""
    lost: Sequence[str] = ()
    """Owners whose lease was over and that others have taken over."""


Watcher = Callable[[Hints], None]


class Journal(Protocol):
    """Written by router and engine."""

    payloads: PayloadFolder

    async def accept(self, acceptance: Acceptance) -> Accepted:
        """Stores an event and its starts. Raises Overloaded or StoreFull (nothing stored), StoreFailed."""
        ...

    async def append(self, claim: Claim, expected_seq: int, effects: Effects) -> Appended:
        """Raises StaleClaim, with nothing changed, when owner, token or sequence do not fit."""
        ...

    async def push(self, messages: Sequence[QueueMessage]) -> None:
        """Adds messages at the end of their queues; one whose id is known is left alone."""
        ...

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        """The oldest waiting messages, as many as have a place: `at_once` less those whose runs have not ended.
        They stay waiting until an acceptance names them as `taken`."""
        ...

    async def join(self, owner: str, now: float, seconds: float) -> Lease:
        """Begins a lease that is over `seconds` after `now`. What an owner holds without one goes to others: it claims
        nothing, and what it accepts is stored for whoever claims it. Stores that several machines share go by a clock
        of their own, not by `now`."""
        ...

    async def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """The lease with its new end. Raises StaleClaim when another owner has taken over: all that was held is
        lost."""
        ...

    async def claim(self, owner: str, limit: int, now: float, wall: float | None = None) -> list[Claimed]:
        """Takes up to `limit` runs that are due at `now`, signalled, or whose owner is gone, oldest first; and those
        whose moment by the wall clock (`wall`, else `now`) has come. An owner is gone when its process has ended, or
        when its lease is over at `now`. A run whose last claims ended with their owner before anything was appended is
        taken alone; after three such claims it is paused (`broken`). Raises StaleClaim for an owner without lease."""
        ...

    def quarantined(self) -> list[tuple[str, str]]:
        """Runs that claims left to a person since the last call, with the reason."""
        ...

    async def hold(self, source: str, lease: Lease, now: float, name: str) -> Held | None:
        """The right to read a source that one daemon at a time may read; None while another has it. It ends with the
        lease. `name` is kept as the source's own when it has none yet. Raises StaleClaim when the lease is lost."""
        ...

    async def let_go(self, held: Held) -> None:
        """Another may hold the source; nothing where one does already."""
        ...

    async def release(self, claim: Claim, wake: float | None) -> None:
        """Gives a run back unchanged, due at `wake`. Raises StaleClaim, with nothing changed, when owner or token do
        not fit."""
        ...

    async def read(self, run: str, since: int = 0) -> list[AnyEntry]:
        """Entries of a run from sequence number `since`."""
        ...

    async def signals(self, run: str, since: int = 0) -> list[Signal]:
        """Signals of a run that are not folded yet, after `since`."""
        ...

    async def signal(self, signal: Signal) -> bool:
        """Stores a signal for a run; False when there is no such run, or it cannot take it any more."""
        ...

    def watch(self, watcher: Watcher) -> None:
        """Calls `watcher` after commits that have something to tell."""
        ...

    def held(self, seqs: Mapping[str, int]) -> None:
        """Which runs the claimer holds in memory, and after how many entries: those are not read at a claim. It is the
        mapping itself, which changes all the time."""
        ...

    async def next_wake(self, ahead: float = 0.0) -> float | None:
        """The earliest due time of an unclaimed run. Moments of the wall clock count as due `ahead` seconds earlier:
        what that clock is ahead of the time that `claim` is asked with."""
        ...

    async def cursor(self, source: str) -> dict[str, Any]:
        """All items of a source's position."""
        ...

    async def move(self, cursors: Sequence[Cursor]) -> None:
        """Moves positions without an event."""
        ...

    async def save_plan(self, *plans: PlanRecord, files: FlowFiles | None = None) -> None:
        """Keeps versions, and for each of `files` what it gives now, in one transaction; a file without flows is
        forgotten. A version that is known is left alone."""
        ...

    async def plan(self, version: str) -> PlanRecord | None: ...

    async def flow_files(self) -> dict[str, dict[str, str]]:
        """The versions that each flow file gave last."""
        ...

    async def sweep(self) -> int:
        """Removes payload files that nothing names, left by a crash; how many. Called once after the start."""
        ...

    async def prune(self, now: float, retention: Retention, limit: int) -> int:
        """Removes up to `limit` old events and ended runs; the number removed. Called until it returns 0."""
        ...


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: ended runs and their events by age in seconds, by count, and by bytes of the store, payloads
    included."""

    age: float = 30 * 86400.0
    count: int = 1_000_000
    bytes: int = 10 * 1024**3


class Page(msgspec.Struct, kw_only=True):
    """One page of a list; `next` is the cursor of the following one."""

    items: list[Any]
    next: str | None = None


class RunFilter(msgspec.Struct, kw_only=True, frozen=True):
    flow: str | None = None
    status: str | None = None
    event: str | None = None
    since: float | None = None
    until: float | None = None


class Runs(Protocol):
    """Read by people; never used to decide."""

    async def run(self, id: str) -> RunRecord | None: ...

    async def runs(self, where: RunFilter, cursor: str | None, limit: int) -> Page: ...

    async def event(self, id: str) -> StoredEvent | None: ...

    async def events(self, cursor: str | None, limit: int, type: str | None = None, invalid: bool = False) -> Page:
        """The newest first; with `invalid`, only those that are kept with a reason."""
        ...

    async def ids(self, prefix: str, limit: int) -> list[str]:
        """Ids of runs (`run_…`) or events (`evt_…`) that begin so, in order."""
        ...

    async def entries(self, run: str) -> list[AnyEntry]: ...

    async def queues(self) -> list[QueueState]:
        """All queues that have messages, by name."""
        ...

    async def versions(self, flow: str) -> list[PlanRecord]: ...

    async def counts(self) -> dict[str, int]:
        """Number of runs by status that are not ended, and of `events` and `runs` in all."""
        ...


class Store(Journal, Runs, ItemStore, Protocol):
    """What app.py opens."""

    crashed: bool
    """Once open: whether the process before this one ended without closing the store."""

    async def open(self) -> None: ...

    async def close(self, clean: bool = True) -> None:
        """With `clean` False as if the process had died: the next life is told so."""
        ...

    def commit_times(self) -> Any:
        """A histogram of commits in seconds, sync included; None where nothing is synced."""
        ...

    def size(self) -> int:
        """Bytes on disk: the database and its log, without payloads."""
        ...

    def health(self) -> str | None:
        """None when it accepts; else why not."""
        ...

    def unreadable(self) -> int:
        """How many rows were found that cannot be read; each is shown in its place, with its reason."""
        ...
