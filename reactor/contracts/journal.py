"""What is written of a run after it was accepted. An entry names its path and its time; folding all of them from
the start gives the run as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from reactor.contracts.errors import ErrorObject


class Entry(msgspec.Struct, array_like=True, frozen=True, tag_field="tag"):
    path: str
    at: float


class Started(Entry, tag="s", array_like=True, frozen=True):
    """The intention to perform an effect; written again after each crash, which is how crashes are counted."""

    attempt: int = 1


class Ended(Entry, tag="e", array_like=True, frozen=True):
    """An effect, or a sub-flow, ended well."""

    value: Any = None


class Failed(Entry, tag="f", array_like=True, frozen=True):
    error: ErrorObject = msgspec.field(default_factory=dict)


class Woke(Entry, tag="w", array_like=True, frozen=True):
    """The timer at this path came due: the end of a wait, or of the pause before an attempt."""


class TimedOut(Entry, tag="t", array_like=True, frozen=True):
    """The deadline of the step (or, at the empty path, of the run) passed."""


class Child(Entry, tag="c", array_like=True, frozen=True):
    """A sub-flow was started."""

    run: str = ""


class Cancelled(Entry, tag="x", array_like=True, frozen=True):
    reason: str = ""
    kind: str = "cancelled"


class Paused(Entry, tag="p", array_like=True, frozen=True):
    """The run waits for a person."""

    error: ErrorObject = msgspec.field(default_factory=dict)


class Resumed(Entry, tag="r", array_like=True, frozen=True):
    """A person let the run go on: the step at the path is performed again in a new generation."""


class Retried(Entry, tag="a", array_like=True, frozen=True):
    """A person retried an ended run: the first `kept` entries count, and what was open goes on from there."""

    kept: int = 0


class Shifted(Entry, tag="h", array_like=True, frozen=True):
    """The wall clock was set anew while the run lived: from `at` on its times are `by` seconds ahead of what they were,
    and so are its timers by duration."""

    by: float = 0.0


class Snapshot(Entry, tag="n", array_like=True, frozen=True):
    """The run as it is after the entries in front of it, at the empty path: recovery may begin here. It changes
    nothing; a build that does not know its `version` folds what is in front of it."""

    version: int = 0
    state: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))


AnyEntry = (
    Started | Ended | Failed | Woke | TimedOut | Child | Cancelled | Paused | Resumed | Retried | Shifted | Snapshot
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[AnyEntry])


def encode_entries(entries: Sequence[AnyEntry]) -> bytes:
    """Entries as one JSON array."""
    return _encoder.encode(entries)


def decode_entries(data: bytes) -> list[AnyEntry]:
    """The inverse of `encode_entries`. Raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(data)
