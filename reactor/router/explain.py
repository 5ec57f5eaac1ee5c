"""What an event meant for every flow, for `why`."""

from __future__ import annotations

from reactor.contracts.event import StoredEvent, Verdict, type_matches
from reactor.contracts.plan import Trigger
from reactor.router.admit import Admission, admit, event_names
from reactor.router.match import FlowSet


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
    if trigger.pattern is not None:
        return type_matches(trigger.pattern, stored.event.type)
    return trigger.source == stored.origin
