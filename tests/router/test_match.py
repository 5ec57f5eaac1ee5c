"""The index finds what reading all flows would find."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.plan import Plan
from reactor.router.admit import Admission, admit, event_names
from reactor.router.match import FlowSet
from tests.flows_help import documents

TYPES = ("order.new", "order.paid", "order.paid.late", "mail")
PATTERNS = ("order.new", "order.*", "order.**", "**", "mail")
VALUES: tuple[Any, ...] = (1, 1.0, True, "1", "a", None, 2.5, [1], {"b": 1})
GUARDS = (
    "", "only_if: event.data.kind == 1", 'only_if: event.data.kind == "a"', "only_if: event.data.kind == true",
    "only_if: event.data.kind == 2.5", "only_if: ['\"a\" == event.data.kind', event.data.kind != 2]",
    "only_if: event.data.kind in [1, 2]", "unless: event.data.kind == 1",
)  # fmt: skip


def flows(chosen: list[tuple[str, str]]) -> list[Plan]:
    texts = [
        f"flow: f-{place}\nwhen: [{{event: '{pattern}'}}]\n{guard}\ndo: []\n"
        for place, (pattern, guard) in enumerate(chosen)
    ]
    return [document.plan for document in documents(*texts) if document.plan is not None]


def stored(type: str, data: Any, origin: str = "event") -> StoredEvent:
    return StoredEvent(id="evt_1", event=Event(type=type, source="/x", data=data), at=1000.0, origin=origin)


def started(found: list[Any], event: StoredEvent) -> list[str]:
    names = event_names(event)
    return sorted(plan.flow for plan, trigger in found if isinstance(admit(plan, trigger, event, names), Admission))


@given(
    st.lists(st.tuples(st.sampled_from(PATTERNS), st.sampled_from(GUARDS)), max_size=8),
    st.sampled_from(TYPES),
    st.sampled_from(VALUES),
)
def test_the_index_leaves_out_only_what_would_not_start(chosen: list[tuple[str, str]], type: str, kind: Any) -> None:
    plans = flows(chosen)
    assert len(plans) == len(chosen)
    event = stored(type, {"kind": kind})
    found = FlowSet(plans).candidates(event, event_names(event))
    everything = [(plan, trigger) for plan, trigger in FlowSet(plans).triggers() if FlowSet([plan]).listens(type)]
    assert started(found, event) == started(everything, event)
    assert len({plan.flow for plan, _ in found}) == len(found), "one entry a flow"


def test_flows_of_one_source_are_looked_up_by_a_constant() -> None:
    texts = [
        f"flow: f-{number}\nwhen: [{{http: POST /orders}}]\nonly_if: event.body.kind == {number}\ndo: []\n"
        for number in range(500)
    ]
    texts.append("flow: all\nwhen: [{http: POST /orders}]\ndo: []\n")
    plans = [document.plan for document in documents(*texts) if document.plan is not None]
    origin = plans[0].triggers[0].source
    event = StoredEvent(
        id="evt_1", event=Event(type="http.request", source="/hooks/orders", data={"kind": 7}, alias="body"), at=1.0,
        origin=origin,
    )  # fmt: skip
    found = FlowSet(plans).candidates(event, event_names(event))
    assert sorted(plan.flow for plan, _ in found) == ["all", "f-7"]
    other = stored("http.request", {"kind": 7}, origin="http:other")
    assert FlowSet(plans).candidates(other, event_names(other)) == []


def test_a_flow_that_two_triggers_fit_is_found_once() -> None:
    (plan,) = [
        document.plan
        for document in documents("flow: one\nwhen: [{event: order.new}, {event: 'order.*'}]\ndo: []\n")
        if document.plan is not None
    ]
    event = stored("order.new", None)
    assert [trigger.name for _, trigger in FlowSet([plan]).candidates(event, event_names(event))] == [
        plan.triggers[0].name
    ]


def test_the_hash_names_the_set_whatever_its_order() -> None:
    plans = flows([("mail", ""), ("**", "")])
    assert FlowSet(plans).hash == FlowSet(plans[::-1]).hash != FlowSet(plans[:1]).hash
    assert FlowSet(plans).listens("mail") and not FlowSet(plans[:1]).listens("order.new")
