"""Stored things in the shapes that clients rely on."""

from __future__ import annotations

import msgspec

from reactor.contracts.event import StoredEvent, rfc3339
from reactor.contracts.run import RunRecord
from reactor.contracts.verdicts import shown_verdict
from reactor.server import answers

LARGE_OUTPUT = 64 * 1024


def moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def run_item(record: RunRecord) -> answers.RunItem:
    """A run in a list: everything of the single object but steps and vars."""
    output = record.output
    if output is not None and len(msgspec.json.encode(output)) > LARGE_OUTPUT:
        output = {"$ref": f"/api/v1/runs/{record.id}"}
    return answers.RunItem(
        id=record.id,
        flow=record.flow,
        version=record.version,
        status=record.status,
        event=record.event,
        events=record.events,
        trigger=record.trigger,
        parent=None if record.parent is None else record.parent.run,
        created=rfc3339(record.created),
        started=moment(record.started),
        ended=moment(record.ended),
        wake=moment(record.wake),
        output=output,
        error=record.error,
    )


def run_whole(
    record: RunRecord, vars: dict[str, object], steps: list[answers.Step], problem: str | None
) -> answers.Run:
    fields = {**msgspec.structs.asdict(run_item(record)), "output": record.output}
    return answers.Run(**fields, response=record.response, vars=vars, steps=steps, problem=problem)


def event_item(stored: StoredEvent) -> answers.EventItem:
    event = stored.event
    return answers.EventItem(
        id=stored.id,
        type=event.type,
        source=event.source,
        accepted=rfc3339(stored.at),
        time=rfc3339(event.time if event.time is not None else stored.at),
        key=event.key,
        subject=event.subject,
        depth=event.depth,
        cause=event.cause,
        invalid=stored.invalid,
        runs=[answers.Started(v.run, v.flow, v.verdict) for v in stored.verdicts if v.run is not None],
        verdicts=[shown_verdict(verdict) for verdict in stored.verdicts],
    )


def event_whole(stored: StoredEvent) -> answers.Event:
    return answers.Event(**msgspec.structs.asdict(event_item(stored)), event=stored.names())
