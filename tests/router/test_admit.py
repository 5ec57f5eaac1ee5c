"""In which order a flow's conditions are asked, and what each says."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.contracts.event import MAX_DEPTH, Event, StoredEvent, Verdict
from reactor.contracts.plan import Plan
from reactor.router.admit import Admission, admit, canonical, event_names
from reactor.router.explain import explain
from reactor.router.match import FlowSet
from tests.flows_help import plan


def asked(text: str, data: Any, depth: int = 0, **more: Any) -> Admission | Verdict:
    made = plan(text)
    event = stored(made, data, depth, **more)
    return admit(made, made.triggers[0], event, event_names(event))


def stored(made: Plan, data: Any, depth: int = 0, source: str = "/x", invalid: str | None = None) -> StoredEvent:
    event = Event(type="order.new", source=source, data=data, depth=depth)
    return StoredEvent(id="evt_1", event=event, at=1000.0, origin="event", invalid=invalid)


FLOW = """
flow: one
{enabled}
when:
  - event: {{type: order.new, source: /x, where: event.data.where}}
    accepts: {{type: object, properties: {{total: {{type: number}}}}}}
only_if: [event.data.first, event.data.second]
unless: event.data.never
dedupe: {{key: event.data.id, for: 1h}}
concurrency: {{key: event.data.lane}}
do: []
"""
DATA = {"where": True, "total": 1, "first": True, "second": True, "never": False, "id": 1.0, "lane": {"b": 1, "a": 2}}


@pytest.mark.parametrize(
    ("changes", "verdict", "clause"),
    [
        ({"where": False, "total": "x", "first": False}, "no_match", "where"),
        ({"total": "x", "first": False}, "invalid", "accepts"),
        ({"first": False, "second": False, "never": True}, "only_if", "only_if"),
        ({"second": False, "never": True}, "only_if", "only_if"),
        ({"never": True, "id": None}, "unless", "unless"),
    ],
)
def test_the_first_that_fails_says_why(changes: dict[str, Any], verdict: str, clause: str) -> None:
    answer = asked(FLOW.format(enabled=""), {**DATA, **changes})
    assert isinstance(answer, Verdict), answer
    assert (answer.verdict, answer.clause) == (verdict, clause)


def test_disabled_comes_behind_the_schema_and_before_the_guards() -> None:
    text = FLOW.format(enabled="enabled: false")
    answer, invalid = asked(text, {**DATA, "first": False}), asked(text, {**DATA, "total": "x"})
    assert isinstance(answer, Verdict) and answer.verdict == "disabled"
    assert isinstance(invalid, Verdict) and invalid.verdict == "invalid"


def test_events_that_cause_each_other_without_an_end_are_stopped() -> None:
    answer = asked(FLOW.format(enabled=""), DATA, MAX_DEPTH + 1)
    assert isinstance(answer, Verdict) and answer.verdict == "depth"
    assert isinstance(asked(FLOW.format(enabled=""), DATA, MAX_DEPTH), Admission)


def test_keys_are_canonical_json() -> None:
    answer = asked(FLOW.format(enabled=""), DATA)
    assert isinstance(answer, Admission), answer
    assert (answer.dedupe_key, answer.concurrency_key) == ("1", '{"a":2,"b":1}')
    assert canonical({"b": [1.0, "ü"], "a": None}) == '{"a":null,"b":[1.0,"ü"]}'


@pytest.mark.parametrize(
    ("guard", "data", "verdict"),
    [
        ("only_if: event.data.missing == 1", {}, "only_if"),
        ("unless: event.data.missing == 1", {}, None),
        ("only_if: event.data.a.b == 1", {"a": 5}, "only_if"),
        ("only_if: event.data.a < 1", {"a": "text"}, "error"),
        ("dedupe: {key: event.data.missing, for: 1h}", {}, "error"),
        ("concurrency: {key: event.data.missing}", {}, "error"),
    ],
)
def test_what_an_event_does_not_have_does_not_hold(guard: str, data: Any, verdict: str | None) -> None:
    answer = asked(f"flow: one\nwhen: [{{event: order.new}}]\n{guard}\ndo: []\n", data)
    assert (answer.verdict if isinstance(answer, Verdict) else None) == verdict, answer


def test_an_event_of_another_source_is_no_match() -> None:
    answer = asked(FLOW.format(enabled=""), DATA, source="/y")
    assert isinstance(answer, Verdict) and (answer.verdict, answer.clause) == ("no_match", "source")


def test_why_tells_of_every_flow_and_keeps_what_depended_on_the_store() -> None:
    plans = [plan(FLOW.format(enabled="")), plan("flow: two\nwhen: [{event: mail}]\ndo: []\n")]
    event = stored(plans[0], {**DATA, "never": True})
    event.verdicts.append(Verdict("gone", "duplicate"))
    told = {verdict.flow: verdict.verdict for verdict in explain(FlowSet(plans), event)}
    assert told == {"one": "unless", "two": "no_match", "gone": "duplicate"}
    letter = stored(plans[0], None, invalid="no JSON")
    assert {verdict.flow: verdict.verdict for verdict in explain(FlowSet(plans), letter)} == {
        "one": "invalid", "two": "no_match",
    }  # fmt: skip
