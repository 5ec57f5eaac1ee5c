"""Stored things in the shapes that clients rely on."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.contracts.event import StoredEvent, rfc3339
from reactor.contracts.run import RunRecord
from reactor.contracts.verdicts import verdict_item

LARGE_OUTPUT = 64 * 1024


def moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def run_item(record: RunRecord) -> dict[str, Any]:
    """A run in a list: everything of the single object but steps and vars."""
    output = record.output
    if output is not None and len(msgspec.json.encode(output)) > LARGE_OUTPUT:
        output = {"$ref": f"/api/v1/runs/{record.id}"}
    return {
        "id": record.id,
        "flow": record.flow,
        "version": record.version,
        "status": record.status.value,
        "event": record.event,
        "events": record.events,
        "trigger": record.trigger,
        "parent": None if record.parent is None else record.parent.run,
        "created": moment(record.created),
        "started": moment(record.started),
        "ended": moment(record.ended),
        "wake": moment(record.wake),
        "output": output,
        "error": record.error,
    }


def event_item(stored: StoredEvent) -> dict[str, Any]:
    event = stored.event
    return {
        "id": stored.id,
        "type": event.type,
        "source": event.source,
        "accepted": moment(stored.at),
        "time": moment(event.time if event.time is not None else stored.at),
        "key": event.key,
        "subject": event.subject,
        "depth": event.depth,
        "cause": event.cause,
        "invalid": stored.invalid,
        "runs": [{"id": v.run, "flow": v.flow, "verdict": v.verdict} for v in stored.verdicts if v.run is not None],
        "verdicts": [verdict_item(verdict) for verdict in stored.verdicts],
    }


def event_view(stored: StoredEvent) -> dict[str, Any]:
    return {**event_item(stored), "event": stored.names()}
