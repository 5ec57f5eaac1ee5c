"""Trace ids out of our own ids (W3C Trace Context): the same after a crash, in another process, on another machine."""

from __future__ import annotations

import hashlib
import re

from reactor.contracts.event import StoredEvent

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def parse_traceparent(text: object) -> tuple[int, int] | None:
    """Trace and parent span of a `traceparent`; None for what is none."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return int(match[1], 16), int(match[2], 16)


def trace_id(event: StoredEvent) -> int:
    """The event's trace: its sender's, else its own."""
    given = parse_traceparent(event.event.extensions.get("traceparent"))
    if given is not None:
        return given[0]
    return int.from_bytes(hashlib.sha256(event.id.encode()).digest()[:16], "big") or 1


def parent_of(event: StoredEvent) -> int | None:
    """The span that sent the event."""
    given = parse_traceparent(event.event.extensions.get("traceparent"))
    return None if given is None else given[1]


def span_id(key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"span {key}".encode()).digest()[:8], "big") or 1


def traceparent(event: StoredEvent, key: str) -> str:
    """What goes out with a request or event that the span of `key` sends."""
    return f"00-{trace_id(event):032x}-{span_id(key):016x}-01"
