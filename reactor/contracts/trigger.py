"""What passes between a trigger and the daemon. What a kind of trigger is, says `contracts/kinds.py`."""

from __future__ import annotations

import mmap
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from reactor.contracts.clock import Clock
from reactor.contracts.event import Cursor, Event, Upload, Verdict
from reactor.contracts.store import PayloadFolder, QueueMessage


class RunRef(msgspec.Struct, frozen=True):
    id: str
    flow: str


class RunOutcome(msgspec.Struct, kw_only=True):
    """How a run ended, or what it answered."""

    run: str
    flow: str
    status: str
    output: Any = None
    error: dict[str, Any] | None = None
    response: dict[str, Any] | None = None


class Receipt(msgspec.Struct, kw_only=True):
    """Proof that an event is durable. `outcome` is set when `wait` was given and all its runs ended (or one
    answered) in time; `duplicate` when the event's own key was known."""

    event: str
    runs: list[RunRef]
    verdicts: list[Verdict]
    outcomes: list[RunOutcome] | None = None
    duplicate: bool = False


class HttpRequest(msgspec.Struct, kw_only=True):
    """What the server hands to the http source, body read and within its limit."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    query: dict[str, str]
    raw: bytes | mmap.mmap
    """The body as it was sent."""
    wait: float | None
    body: bytes = b""
    """The body without its Content-Encoding; empty for multipart."""
    spool: Path | None = None
    """The file that has a multipart body."""
    headers_all: dict[str, list[str]] | None = None
    """All values of each header, where one came several times; else `headers` says it all."""
    query_all: dict[str, list[str]] | None = None
    """The same of the query."""


class HttpAnswer(msgspec.Struct, kw_only=True):
    status: int
    headers: dict[str, str]
    body: bytes
    unverified: bool = False
    """Whether the sender could not be verified."""


class HttpRoute(msgspec.Struct, kw_only=True):
    """A path under /hooks that a trigger serves."""

    method: str
    path: str
    limit: int
    upload_limit: int = 0
    """The largest multipart body; 0: none is taken."""
    origins: tuple[str, ...] = ()
    """Sites whose pages may call and read the answers (CORS); `*`: all."""
    handle: Callable[[HttpRequest], Awaitable[HttpAnswer]]


class HttpMount(Protocol):
    """Where triggers put their routes."""

    def add(self, route: HttpRoute) -> None: ...

    def remove(self, route: HttpRoute) -> None: ...


class TriggerContext(Protocol):
    """All that a trigger may touch of the daemon."""

    @property
    def clock(self) -> Clock: ...

    @property
    def folder(self) -> str:
        """The flow's: where relative paths start."""
        ...

    @property
    def http(self) -> HttpMount: ...

    @property
    def payloads(self) -> PayloadFolder: ...

    async def ready(self) -> None:
        """The source listens from here on; tests and /readyz wait for this."""
        ...

    async def emit(
        self,
        event: Event,
        wait: float | None = None,
        cursors: Sequence[Cursor] = (),
        uploads: Sequence[Upload] = (),
        taken: str | None = None,
    ) -> Receipt:
        """Hands an event over; returns when it is durable. `wait`: also wait so many seconds for its runs. `uploads`
        become payloads that are kept as long as the event; `taken` is the queue message that the event is made of."""
        ...

    async def emit_many(self, events: Sequence[Event], cursors: Sequence[Cursor] = ()) -> list[Receipt]:
        """The same for a batch; the cursors move with the last event."""
        ...

    async def offer(self, event: Event, cursors: Sequence[Cursor] = ()) -> Awaitable[Receipt]:
        """Waits for room only; await the result for durability."""
        ...

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        """The oldest messages of a queue that have a place; waits until there is one."""
        ...

    async def cursor(self) -> dict[str, Any]:
        """The source's stored position, item by item."""
        ...

    async def move(self, items: dict[str, Any]) -> None:
        """Moves the position without an event; a value of None removes the item."""
        ...

    def at(self, item: str, value: Any) -> Cursor:
        """A move of this source's position, to be given to `emit`."""
        ...

    def responds(self) -> bool:
        """Whether a flow of this source has a `respond` step."""
        ...

    def secret(self, name: str) -> str:
        """The secret's value. Raises ConfigError when no backend has it."""
        ...

    def connection(self, name: str) -> AbstractAsyncContextManager[Any]:
        """The shared client of a connection, by name or URL, while the block runs. Raises NotConnected. Leaving the
        block with NotConnected closes the client for all who share it; NotReady and any other error do not."""
        ...

    def identity(self) -> str:
        """The source's name at brokers and databases: the same after a restart, whichever daemon reads it then."""
        ...

    def lag(self, messages: float | None) -> None:
        """Says how many messages (of a database's log: bytes) the source is behind, where it can tell."""
        ...

    def reading(self, what: str | None) -> None:
        """Says what is being read now (a file, a table, a message), for the error that a fault in it becomes."""
        ...

    def warn(self, message: str | None) -> None:
        """Says what someone should look at though the source listens; None: nothing any more."""
        ...

    def random(self) -> float:
        """A number in [0, 1), from the injected source of randomness."""
        ...
