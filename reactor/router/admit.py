"""Whether an event starts one flow, as far as the event alone tells. Pure: the same event and flow give the same
answer, which is how `why` computes it again."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.event import MAX_DEPTH, StoredEvent, Verdict
from reactor.contracts.plan import Expression, Plan, Trigger

_canonical = msgspec.json.Encoder(order="deterministic")


class Admission(msgspec.Struct):
    """A flow that the event starts, as far as the event alone tells."""

    plan: Plan
    trigger: Trigger
    dedupe_key: str | None
    concurrency_key: str | None


def event_names(stored: StoredEvent) -> dict[str, Any]:
    """The names that guards, `where` and keys may read."""
    event = stored.names()
    return {"event": event, "trigger": event, "inputs": event["data"]}


def admit(plan: Plan, trigger: Trigger, stored: StoredEvent, names: dict[str, Any]) -> Admission | Verdict:
    """Admission of one flow in its fixed order, up to the policies that need the store."""
    if trigger.id is not None:
        names = {**names, trigger.id: names["event"]}
    refused = _where(plan, trigger, stored, names)
    if refused is not None:
        return refused
    if trigger.accepts is not None:
        problems = trigger.accepts.problems(stored.event.data)
        if problems:
            return Verdict(
                plan.flow, "invalid", clause="accepts", message="; ".join(problems[:5]), trigger=trigger.name
            )
    if not plan.enabled:
        return Verdict(plan.flow, "disabled", trigger=trigger.name)
    if stored.event.depth > MAX_DEPTH:
        return Verdict(
            plan.flow, "depth", message=f"more than {MAX_DEPTH} events cause each other", trigger=trigger.name
        )
    for clause in plan.only_if:
        verdict = _guard(plan, trigger, "only_if", clause, names, True)
        if verdict is not None:
            return verdict
    for clause in plan.unless:
        verdict = _guard(plan, trigger, "unless", clause, names, False)
        if verdict is not None:
            return verdict
    dedupe_key = concurrency_key = None
    clause_name, clause_now = "dedupe", plan.dedupe.key if plan.dedupe is not None else None
    try:
        if plan.dedupe is not None:
            dedupe_key = canonical(plan.dedupe.key.evaluate(names))
        if plan.concurrency is not None:
            clause_name, clause_now = "concurrency", plan.concurrency.key
            concurrency_key = canonical(
                plan.concurrency.key.evaluate(names) if plan.concurrency.key is not None else None
            )
    except StepFailed as error:
        return _error(plan, trigger, clause_name, clause_now, names, error)
    return Admission(plan, trigger, dedupe_key, concurrency_key)


def canonical(value: Any) -> str:
    """A key as canonical JSON."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _canonical.encode(value).decode()


def _where(plan: Plan, trigger: Trigger, stored: StoredEvent, names: dict[str, Any]) -> Verdict | None:
    if trigger.sender is not None and trigger.sender != stored.event.source:
        return Verdict(plan.flow, "no_match", clause="source", value=stored.event.source, trigger=trigger.name)
    for clause in trigger.where:
        verdict = _guard(plan, trigger, "where", clause, names, True)
        if verdict is not None:
            return verdict if verdict.verdict == "error" else msgspec.structs.replace(verdict, verdict="no_match")
    return None


def _guard(
    plan: Plan, trigger: Trigger, kind: str, clause: Expression, names: dict[str, Any], wanted: bool
) -> Verdict | None:
    """None when the clause lets the event pass; a missing path under `event` means that it does not hold."""
    message = None
    try:
        value = clause.evaluate(names)
        holds = bool(value)
    except StepFailed as error:
        path = str(error.details.get("path", ""))
        if error.type != "missing" or path.partition(".")[0].partition("[")[0] not in _event_roots(trigger):
            return _error(plan, trigger, kind, clause, names, error)
        value, holds, message = None, False, str(error).partition(" (did")[0].partition(";")[0]
    if holds is wanted:
        return None
    return Verdict(
        plan.flow,
        kind,
        clause=kind,
        line=clause.line,
        expression=clause.source,
        value=value,
        names=_values(clause, names),
        message=message,
        trigger=trigger.name,
    )


def _event_roots(trigger: Trigger) -> tuple[str, ...]:
    return ("event", "trigger", "inputs", trigger.id or "event")


def _values(clause: Any, names: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = clause.values(names) if hasattr(clause, "values") else {}
    return found


def _error(
    plan: Plan,
    trigger: Trigger,
    kind: str,
    clause: Expression | None,
    names: dict[str, Any],
    error: StepFailed,
) -> Verdict:
    return Verdict(
        plan.flow,
        "error",
        clause=kind,
        line=clause.line if clause is not None else None,
        expression=clause.source if clause is not None else None,
        names=_values(clause, names) if clause is not None else {},
        message=str(error),
        trigger=trigger.name,
    )
