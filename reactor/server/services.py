"""What the routes ask: one protocol a resource. `reactor/operations` fulfils them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.run import RunRecord
from reactor.contracts.store import RunFilter, Signal
from reactor.contracts.trigger import Receipt
from reactor.server import answers


class Ids(Protocol):
    """What has ids that people shorten."""

    async def ids(self, prefix: str, limit: int) -> list[str]:
        """Ids that begin so, in order."""
        ...


class Events(Ids, Protocol):
    async def emit(self, origin: str, event: Event, wait: float | None) -> Receipt:
        """Returns when the event is durable. Raises Refused and Overloaded."""
        ...

    async def page(self, cursor: str | None, limit: int, type: str | None) -> answers.EventPage: ...

    async def event(self, id: str) -> StoredEvent | None: ...

    def why(self, stored: StoredEvent) -> answers.Why:
        """What the flows of now say to it."""
        ...


class DeadLetters(Ids, Protocol):
    async def page(self, cursor: str | None, limit: int) -> answers.EventPage: ...

    async def letter(self, id: str) -> StoredEvent | None:
        """None also for an event that is not a dead letter."""
        ...

    async def replay(self, stored: StoredEvent, data: object) -> Receipt:
        """Sends it again with these data. Raises Refused and Overloaded."""
        ...


class Runs(Ids, Protocol):
    async def page(self, where: RunFilter, cursor: str | None, limit: int) -> answers.RunPage: ...

    async def run(self, id: str) -> RunRecord | None: ...

    async def whole(self, record: RunRecord) -> answers.Run:
        """The run with its steps, and the first turns of each loop."""
        ...

    async def steps(self, record: RunRecord) -> list[answers.Step]:
        """All steps, with all turns."""
        ...

    async def retryable(self, record: RunRecord) -> str | None:
        """None, or why the run cannot be retried."""
        ...

    async def signal(self, signal: Signal) -> bool:
        """Whether the run can take it."""
        ...


class Flows(Protocol):
    def items(self) -> list[answers.FlowItem]: ...

    def flow(self, name: str) -> answers.Flow | None: ...

    async def versions(self, name: str) -> list[answers.Version]: ...

    async def start(self, flow: str, inputs: object, key: str | None, wait: float | None) -> Receipt:
        """Raises KeyError for an unknown flow, Refused for inputs that do not fit, and Overloaded."""
        ...

    async def reload(self) -> None: ...


class Sources(Protocol):
    def items(self) -> list[answers.Trigger]: ...


class Connections(Protocol):
    def items(self) -> list[answers.Connection]: ...

    async def check(self, name: str) -> str | None:
        """Opens a connection and tries it; None, or what is wrong."""
        ...


class Plugins(Protocol):
    def items(self) -> list[answers.Plugin]: ...


class Queues(Protocol):
    async def items(self) -> list[answers.Queue]: ...

    async def push(self, queue: str, data: object, key: str | None) -> str:
        """The message's id; the same for the same key. Raises Overloaded."""
        ...


class Actions(Protocol):
    def items(self) -> list[answers.Action]: ...

    def action(self, name: str) -> answers.Action | None: ...


class Webhooks(Protocol):
    async def items(self) -> list[answers.Webhook]: ...

    async def enable(self, url: str) -> bool:
        """Whether the receiver was switched off."""
        ...


class Health(Protocol):
    def store(self) -> str | None:
        """None when the store accepts; else why not."""
        ...

    def readiness(self) -> answers.Readiness: ...

    def configuration(self) -> answers.Configuration: ...


class Numbers(Protocol):
    async def text(self) -> bytes:
        """In Prometheus's text format 0.0.4."""
        ...

    async def stats(self) -> answers.Stats: ...


class Frame(Protocol):
    """What happened, as a server-sent event and as a message of a WebSocket."""

    @property
    def event(self) -> bytes: ...

    @property
    def message(self) -> str: ...


class Stream(Protocol):
    clients: int

    @property
    def facts(self) -> Collection[str]:
        """Those that can be followed."""
        ...

    def follow(
        self, last: str | None, facts: frozenset[str] | None = None, flow: str | None = None
    ) -> AsyncGenerator[Sequence[Frame], None]:
        """Frames from behind `last`, the id of one, or from now; an empty list now and then in silence."""
        ...


@dataclass(frozen=True)
class Services:
    version: str
    events: Events
    dead_letters: DeadLetters
    runs: Runs
    flows: Flows
    sources: Sources
    connections: Connections
    plugins: Plugins
    queues: Queues
    actions: Actions
    webhooks: Webhooks
    health: Health
    numbers: Numbers
    stream: Stream
