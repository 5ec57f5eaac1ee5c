"""Event × flows → admissions and verdicts. Pure: the same event and flows give the same answer, which is how `why`
computes it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.event import MAX_DEPTH, StoredEvent, Verdict, type_matches
from reactor.contracts.plan import Expression, Plan, Trigger

_canonical = msgspec.json.Encoder(order="deterministic")


class Admission(msgspec.Struct):
    """A flow that the event starts, as far as the event alone tells."""

    plan: Plan
    trigger: Trigger
    dedupe_key: str | None
    concurrency_key: str | None


class FlowSet:
    """The loaded flows and the index over them. Never changed; a reload makes a new one."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self.plans = {plan.flow: plan for plan in plans}
        digest = hashlib.sha256()
        for name in sorted(self.plans):
            digest.update(f"{name}={self.plans[name].version}\n".encode())
        self.hash = digest.hexdigest()[:16]
        self._sources: dict[str, _Index] = {}
        self._types: dict[str, list[tuple[Plan, Trigger]]] = {}
        self._patterns: list[tuple[Plan, Trigger]] = []
        for plan in self.plans.values():
            for trigger in plan.triggers:
                if trigger.kind == "event":
                    if "*" in trigger.options.type:
                        self._patterns.append((plan, trigger))
                    else:
                        self._types.setdefault(trigger.options.type, []).append((plan, trigger))
                else:
                    self._sources.setdefault(trigger.source, _Index()).add(plan, trigger)

    def triggers(self) -> list[tuple[Plan, Trigger]]:
        return [(plan, trigger) for plan in self.plans.values() for trigger in plan.triggers]

    def listens(self, type: str) -> bool:
        """Whether some loaded flow has an `event` trigger for the type."""
        return type in self._types or any(type_matches(t.options.type, type) for _, t in self._patterns)

    def candidates(self, stored: StoredEvent, names: Mapping[str, Any]) -> list[tuple[Plan, Trigger]]:
        """Flows whose trigger the event fits, but for those that the index rules out; one entry a flow."""
        found: list[tuple[Plan, Trigger]] = []
        index = self._sources.get(stored.origin)
        if index is not None:
            found.extend(index.find(names))
        type = stored.event.type
        for plan, trigger in self._types.get(type, ()):
            found.append((plan, trigger))
        for plan, trigger in self._patterns:
            if type_matches(trigger.options.type, type):
                found.append((plan, trigger))
        if len(found) < 2:
            return found
        seen: set[str] = set()
        return [pair for pair in found if not (pair[0].flow in seen or seen.add(pair[0].flow))]  # type: ignore[func-returns-value]


class _Index:
    """The flows of one source. Those with `only_if: event.x == constant` are looked up by the value."""

    def __init__(self) -> None:
        self.plain: list[tuple[Plan, Trigger]] = []
        self.by_path: dict[tuple[str, ...], dict[tuple[type, Any], list[tuple[Plan, Trigger]]]] = {}

    def add(self, plan: Plan, trigger: Trigger) -> None:
        lookup = next((clause.lookup for clause in plan.only_if if clause.lookup is not None), None)
        if lookup is None or lookup[0][0] not in ("event", "trigger") or trigger.accepts is not None:
            self.plain.append((plan, trigger))
        else:
            path, constant = lookup
            table = self.by_path.setdefault(path, {})
            table.setdefault((type(constant), constant), []).append((plan, trigger))

    def find(self, names: Mapping[str, Any]) -> list[tuple[Plan, Trigger]]:
        if not self.by_path:
            return list(self.plain)
        found = list(self.plain)
        for path, table in self.by_path.items():
            value: Any = names
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, (str, int)):
                found.extend(table.get((type(value), value), ()))
        return found


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
    source = getattr(trigger.options, "source", None) if trigger.kind == "event" else None
    if source is not None and source != stored.event.source:
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


def explain(flows: FlowSet, stored: StoredEvent) -> list[Verdict]:
    """A verdict for every flow: those that depended on state are the stored ones, the others are computed again."""
    kept = {verdict.flow: verdict for verdict in stored.verdicts}
    names = event_names(stored)
    fitting: dict[str, Trigger] = {}
    for plan, trigger in flows.triggers():
        if plan.flow not in fitting and _fits(trigger, stored):
            fitting[plan.flow] = trigger
    verdicts = []
    for name in sorted({*flows.plans, *kept}):
        if name in kept:
            verdicts.append(kept[name])
        elif name not in fitting:
            verdicts.append(Verdict(name, "no_match"))
        elif stored.invalid is not None:
            verdicts.append(Verdict(name, "invalid", message=stored.invalid))
        else:
            answer = admit(flows.plans[name], fitting[name], stored, names)
            if isinstance(answer, Admission):
                message = "the flow was not loaded, or was another one, when the event came"
                answer = Verdict(name, "no_match", message=message, trigger=fitting[name].name)
            verdicts.append(answer)
    return verdicts


def _fits(trigger: Trigger, stored: StoredEvent) -> bool:
    if trigger.kind == "event":
        return type_matches(trigger.options.type, stored.event.type)
    return trigger.source == stored.origin
