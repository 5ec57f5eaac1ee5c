"""What a trigger hands over, and what the store keeps of it."""

from __future__ import annotations

import datetime
import functools
from typing import Any

import msgspec

MAX_DEPTH = 10
"""An event caused by a run has its cause's depth + 1; past this nothing starts (verdict `depth`)."""

RESERVED_PREFIX = "reactor."
"""Types that only the daemon itself may send."""

IDENTITY_WINDOW = 72 * 3600.0
"""Seconds for which an event's own key is remembered."""


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event as a trigger emits it.

    `data` is the payload for every kind; `fields` are the kind's own names (`headers`, `path`, …); `alias` is a
    second name of `data` (`body` for HTTP). `key` is the message's own identity, unique within `source`: a repeat
    within 72 hours gets the first answer. `time` is the sender's, in seconds since the epoch.
    """

    type: str
    source: str
    data: Any = None
    key: str | None = None
    subject: str | None = None
    time: float | None = None
    extensions: dict[str, Any] = msgspec.field(default_factory=dict)
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    alias: str | None = None
    depth: int = 0
    cause: str | None = None
    invalid: str | None = None
    """Why it starts nothing and is kept as a dead letter: it cannot be decoded, or came too often."""


class Upload(msgspec.Struct, frozen=True):
    """A file that came with an event: written and synced in the incoming folder, to be kept with the event."""

    path: str
    sha256: str
    size: int


class Verdict(msgspec.Struct, omit_defaults=True):
    """What became of one event for one flow: `started no_match invalid only_if unless error duplicate merged busy
    throttled disabled depth`."""

    flow: str
    verdict: str
    run: str | None = None
    clause: str | None = None
    line: int | None = None
    expression: str | None = None
    value: Any = None
    names: dict[str, Any] = msgspec.field(default_factory=dict)
    message: str | None = None
    trigger: str | None = None


LISTED = (("headers", "headers_all"), ("query", "query_all"))
"""Fields with one value a name, and those with all values of each: stored only where a name came several times."""

SENT = frozenset({"event", "manual"})
"""Origins of events that have no source of their own."""


class StoredEvent(msgspec.Struct, kw_only=True):
    """An accepted event: the trigger's, with our id, the accepting time and what was decided about it."""

    id: str
    event: Event
    at: float
    origin: str
    """The source (`kind` and its options) that the event came through; flows match on it."""
    flows: str = ""
    """Hash of the set of flows that it was matched against."""
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    invalid: str | None = None
    """Why the event was kept without being matched (a schema, an undecodable body)."""

    @property
    def scope(self) -> str:
        """What the event's key is unique in. What is sent to us says where it comes from (CloudEvents source + id, a
        path): however it came in, it is the same event. What a trigger reads is that trigger's own: another group of
        the same topic, another query of the same database, reads it for itself."""
        if self.origin in SENT or self.origin.startswith("http:"):
            return self.event.source
        return f"{self.origin} {self.event.source}"

    shown: dict[str, Any] | None = None
    """What `names` gave; it is asked for several times on the way in."""

    def names(self) -> dict[str, Any]:
        """The object called `event` in expressions. Never changed by anyone."""
        if self.shown is not None:
            return self.shown
        event = self.event
        names = {
            "id": self.id,
            "source": event.source,
            "type": event.type,
            "time": rfc3339(self.at if event.time is None else event.time),
            "subject": event.subject,
            "key": event.key,
            "data": event.data,
            "extensions": event.extensions,
            **event.fields,
        }
        for name, all_values in LISTED:
            given = names.get(name)
            if type(given) is dict and all_values not in names:
                names[all_values] = {key: [value] for key, value in given.items()} if given else {}
        if event.alias is not None:
            names[event.alias] = event.data
        self.shown = names
        return names


class Cursor(msgspec.Struct, frozen=True):
    """One item of a polled source's position, committed with the events that moved it; `None` removes it."""

    source: str
    item: str
    value: Any


_FIRST, _LAST = -62_135_596_800, 253_402_300_799


@functools.lru_cache(64)
def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as an RFC 3339 timestamp in UTC, to the microsecond. Beyond the years 1 to 9999, which
    it can say, the nearest instant stands: the time of a file may be anything."""
    if not _FIRST <= seconds <= _LAST:
        seconds = _FIRST if seconds < _FIRST else _LAST
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_to_the_second(whole)}.{micro:06}Z"


@functools.lru_cache(256)
def _to_the_second(whole: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=whole)
    return moment.isoformat()[:19]


def type_matches(pattern: str, type: str) -> bool:
    """Whether an event type fits a pattern: `*` stands for one part between dots, `**` for the rest."""
    if "*" not in pattern:
        return pattern == type
    wanted, given = pattern.split("."), type.split(".")
    for index, part in enumerate(wanted):
        if part == "**":
            return True
        if index >= len(given) or (part != "*" and part != given[index]):
            return False
    return len(wanted) == len(given)
