"""Verdicts for people: as the API shows them, and why an event started no run, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from reactor.contracts.event import Verdict

MAX_NAMED = 5
WORDS = {
    "no_match": "its trigger does not match the event",
    "invalid": "the event does not fit its schema",
    "only_if": "only_if is not true",
    "unless": "unless is true",
    "error": "an expression failed",
    "duplicate": "the event is a duplicate",
    "merged": "the event was added to a run that waits",
    "busy": "the flow is busy, and its concurrency drops what comes then",
    "throttled": "the flow is throttled",
    "disabled": "the flow is disabled",
    "depth": "the chain of events is too long",
}


VerdictWord = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["started", *WORDS]})]


class ShownVerdict(msgspec.Struct):
    """What became of one event for one flow, and why, as the API shows it."""

    flow: str
    verdict: VerdictWord
    clause: str | None
    line: int | None
    expression: str | None
    value: object
    names: dict[str, object]
    """The names that stand in the expression, with their values."""
    run: str | None
    message: str | None
    trigger: str | None


def shown_verdict(verdict: Verdict) -> ShownVerdict:
    return ShownVerdict(
        verdict.flow,
        verdict.verdict,
        verdict.clause,
        verdict.line,
        verdict.expression,
        verdict.value,
        verdict.names,
        verdict.run,
        verdict.message,
        verdict.trigger,
    )


def _sentence(verdict: Verdict) -> str:
    said = WORDS.get(verdict.verdict, verdict.verdict)
    if verdict.expression is not None:
        said += f" ({verdict.expression}, line {verdict.line})" if verdict.line else f" ({verdict.expression})"
    if verdict.message is not None:
        said += f": {verdict.message}"
    return f"{verdict.flow}: {said}"


def none_started(verdicts: Sequence[Verdict]) -> str:
    """Why there is no run, for a sender who waits for one."""
    if not verdicts:
        return "no run was started: no flow listens for this event"
    said = "; ".join(_sentence(verdict) for verdict in verdicts[:MAX_NAMED])
    more = f"; and {len(verdicts) - MAX_NAMED} more" if len(verdicts) > MAX_NAMED else ""
    return f"no run was started: {said}{more}"
