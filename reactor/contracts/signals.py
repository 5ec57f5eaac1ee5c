"""What can be said to a run from outside. The store keeps each message as a `Signal`, a kind and a JSON object; these
are the kinds, and what the object holds."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from reactor.contracts.errors import ErrorObject
from reactor.contracts.run import Status
from reactor.contracts.store import Signal


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True):
    """By a person, a watch, a newer run or the parent; `type` becomes the run's `error.type`."""

    kind: ClassVar[str] = "cancel"
    reason: str = ""
    type: str = "cancelled"


class Resume(msgspec.Struct, frozen=True):
    """A person lets the paused steps go on."""

    kind: ClassVar[str] = "resume"


class Retry(msgspec.Struct, frozen=True):
    """A person lets an ended run go on from the step that failed."""

    kind: ClassVar[str] = "retry"


class ChildEnded(msgspec.Struct, frozen=True):
    """The sub-flow `run`, which the step at `path` started, ended."""

    kind: ClassVar[str] = "child"
    path: str
    run: str
    flow: str
    status: Status
    output: Any = None
    error: ErrorObject | None = None


Message = Cancel | Resume | Retry | ChildEnded
KINDS: dict[str, type[Message]] = {kind.kind: kind for kind in (Cancel, Resume, Retry, ChildEnded)}


def signal_of(run: str, message: Message) -> Signal:
    """The message as it is stored for a run."""
    return Signal(run=run, kind=message.kind, body=msgspec.to_builtins(message))


def message_of(signal: Signal) -> Message | None:
    """What a stored signal says; None for a kind that this release does not know. Raises `msgspec.ValidationError` for
    a body of another shape."""
    kind = KINDS.get(signal.kind)
    return None if kind is None else msgspec.convert(signal.body, kind)
