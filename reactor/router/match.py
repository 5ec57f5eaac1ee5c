"""The flows that an event may start, by an index over their triggers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from reactor.contracts.event import StoredEvent, type_matches
from reactor.contracts.plan import Plan, Trigger


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
        self._patterns: list[tuple[str, Plan, Trigger]] = []
        for plan in self.plans.values():
            for trigger in plan.triggers:
                pattern = trigger.pattern
                if pattern is None:
                    self._sources.setdefault(trigger.source, _Index()).add(plan, trigger)
                elif "*" in pattern:
                    self._patterns.append((pattern, plan, trigger))
                else:
                    self._types.setdefault(pattern, []).append((plan, trigger))

    def triggers(self) -> list[tuple[Plan, Trigger]]:
        return [(plan, trigger) for plan in self.plans.values() for trigger in plan.triggers]

    def listens(self, type: str) -> bool:
        """Whether some loaded flow takes events of the type, wherever they come from."""
        return type in self._types or any(type_matches(pattern, type) for pattern, _, _ in self._patterns)

    def candidates(self, stored: StoredEvent, names: Mapping[str, Any]) -> list[tuple[Plan, Trigger]]:
        """Flows whose trigger the event fits, but for those that the index rules out; one entry a flow."""
        found: list[tuple[Plan, Trigger]] = []
        index = self._sources.get(stored.origin)
        if index is not None:
            found.extend(index.find(names))
        type = stored.event.type
        for plan, trigger in self._types.get(type, ()):
            found.append((plan, trigger))
        for pattern, plan, trigger in self._patterns:
            if type_matches(pattern, type):
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
