"""The contract of an action: one file, one class, one async call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Protocol

import msgspec

from reactor.contracts.clock import Clock


class Memory(Protocol):
    """What an action keeps between runs: a few small values by name, durable."""

    async def get(self, name: str) -> Any: ...

    async def set(self, name: str, value: Any) -> None:
        """`None` removes the value."""
        ...


class Closable(Protocol):
    async def close(self) -> None: ...


class Clients(Protocol):
    """What actions keep open between calls: bounded in number, closed when nobody has used it for a while."""

    def lend(self, key: Hashable, make: Callable[[], Awaitable[Closable]]) -> AbstractAsyncContextManager[Any]:
        """The client of the key; `make` makes it when there is none. The key names all that the client may do: two
        callers with different rights never have the same one."""
        ...


class ActionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows actions."""

    file_root: str | None = None
    """The folder for paths that are all expression; without one there are none."""
    allow: frozenset[str] = frozenset()
    """The words of `--allow`."""
    allow_networks: tuple[str, ...] = ()
    """Networks in private ranges that computed URLs may lead to, as CIDR."""
    seeded: bool = False
    """Whether random values come from the run's seed; for tests."""
    payloads: str | None = None
    """The folder of uploaded files, absolute."""


class ActionContext(msgspec.Struct, kw_only=True):
    """What an action may know of the step that calls it."""

    run: str
    flow: str
    step: str
    attempt: int
    idempotency_key: str
    """`run id / step path / generation`: the same over retries and crashes."""
    deadline: float | None
    """Wall time in seconds since the epoch after which the step is timed out."""
    clock: Clock
    folder: str
    """The flow file's folder: where relative paths start."""
    literals: dict[str, str] = msgspec.field(default_factory=dict)
    """For each top-level option whose value has an expression: the text in front of the first one."""
    settings: Any = None
    connection: Any = None
    """`Lend`: `async with context.connection(name) as client`. NotConnected out of it fails the step, retryable."""
    memory: Memory | None = None
    collections: Any = None
    """`reactor.contracts.collections.Collections`: the flows' own data."""
    reveals: Callable[[Any], bool] = lambda _: False
    """Whether a value has a secret that this step was given, in any form that is masked."""
    traceparent: str | None = None
    """W3C Trace Context to send along, when the event has a trace or the daemon makes traces."""
    log: Any = None
    seed: str = ""
    clients: Clients | None = None
    """Without one, what an action opens is closed after the call."""
    mask: Callable[[str], str] = lambda text: text
    """The text without the step's secrets. What an action cuts goes through it first: a secret that was cut in two is
    found by nobody."""


class Action(Protocol):
    """A kind of action. `Options` is a frozen msgspec struct; `Result` describes the value for the docs."""

    name: ClassVar[str]
    summary: ClassVar[str]
    repeat: ClassVar[str]
    """safe, keyed or never: what a crash in the middle means."""
    needs: ClassVar[str | None]
    """The `--allow` word without which a flow that uses it is not loaded."""
    Options: ClassVar[type[msgspec.Struct]]
    example: ClassVar[str]

    async def run(self, options: Any, context: ActionContext) -> Any:
        """Acts and returns plain JSON data. Raises StepFailed; must let cancellation through promptly."""
        ...
