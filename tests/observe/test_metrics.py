"""Numbers out of facts, without a daemon."""

from __future__ import annotations

from reactor.contracts.event import Event, StoredEvent, Verdict
from reactor.contracts.facts import (
    AuthRefused,
    EventAccepted,
    EventRefused,
    FlowLoaded,
    FlowRemoved,
    RunEnded,
    SourceDisconnected,
    StepEnded,
)
from reactor.observe.log import Observers
from reactor.observe.metrics import MAX_SERIES, Counts, Metrics, Times

STORED = StoredEvent(id="evt_1", event=Event(type="a", source="/a"), at=1.0, origin="http:1")


def ended(flow: str, status: str = "succeeded") -> RunEnded:
    return RunEnded(run="run_1", flow=flow, status=status, seconds=0.5, started=1.0, stored=STORED)


def accepted(*verdicts: Verdict, origin: str = "http:1") -> EventAccepted:
    return EventAccepted(event="evt_1", type="a", origin=origin, seconds=0.25, verdicts=list(verdicts), stored=STORED)


def lines(metrics: Metrics, name: str) -> list[str]:
    text = metrics.text([], 3, None).decode()
    return [line for line in text.splitlines() if line.startswith(name)]


def test_each_fact_counts_where_it_belongs() -> None:
    metrics = Metrics()
    told = Observers(metrics)
    told.observe(accepted(Verdict("one", "started"), Verdict("two", "only_if")))
    told.observe(accepted(Verdict("one", "started"), origin="kafka:2"))
    told.observe(EventRefused(origin="http:1", type="a", status=422))
    told.observe(ended("one"))
    told.observe(ended("one", "failed"))
    told.observe(StepEnded(
        run="run_1", flow="one", step="s", path="do/0", action="log", status="succeeded", attempt=1, seconds=0.1,
        started=1.0, stored=STORED,
    ))  # fmt: skip
    told.observe(SourceDisconnected(source="mqtt:3", state="disconnected", error="gone"))
    told.observe(AuthRefused(reason="no_token", address="127.0.0.1"))
    assert lines(metrics, "reactor_events_total") == [
        'reactor_events_total{kind="http"} 1.0', 'reactor_events_total{kind="kafka"} 1.0',
    ]  # fmt: skip
    assert lines(metrics, "reactor_verdicts_total") == [
        'reactor_verdicts_total{flow="one",verdict="started"} 2.0',
        'reactor_verdicts_total{flow="two",verdict="only_if"} 1.0',
    ]
    assert lines(metrics, "reactor_runs_total") == [
        'reactor_runs_total{flow="one",status="failed"} 1.0', 'reactor_runs_total{flow="one",status="succeeded"} 1.0',
    ]  # fmt: skip
    assert lines(metrics, "reactor_events_refused_total") == ['reactor_events_refused_total{status="422"} 1.0']
    assert lines(metrics, "reactor_steps_total") == ['reactor_steps_total{action="log",status="succeeded"} 1.0']
    assert lines(metrics, "reactor_source_disconnects_total") == ['reactor_source_disconnects_total{kind="mqtt"} 1.0']
    assert lines(metrics, "reactor_auth_failures_total") == ['reactor_auth_failures_total{reason="no_token"} 1.0']
    assert lines(metrics, "reactor_log_lines_lost_total") == ["reactor_log_lines_lost_total 3.0"]
    assert lines(metrics, "reactor_run_seconds_sum") == ['reactor_run_seconds_sum{flow="one"} 1.0']


def test_series_of_removed_flows_go_and_their_last_runs_count_together() -> None:
    metrics = Metrics()
    told = Observers(metrics)
    told.observe(ended("one"))
    told.observe(ended("two"))
    told.observe(FlowRemoved(flow="one"))
    told.observe(ended("one", "cancelled"))
    assert lines(metrics, "reactor_runs_total") == [
        'reactor_runs_total{flow="(removed)",status="cancelled"} 1.0',
        'reactor_runs_total{flow="two",status="succeeded"} 1.0',
    ]
    told.observe(FlowLoaded(flow="one", version="v", file="one.yaml"))
    told.observe(ended("one"))
    assert 'reactor_runs_total{flow="one",status="succeeded"} 1.0' in lines(metrics, "reactor_runs_total")


def test_series_are_bounded() -> None:
    counts, times = Counts("c", "", "flow"), Times("t", "", "flow")
    for number in range(MAX_SERIES + 10):
        counts.add(f"f-{number}")
        times.add(0.125, f"f-{number}")
    assert len(counts.values) <= MAX_SERIES + 1 and counts.values["other",] == 10
    assert len(times.values) <= MAX_SERIES + 1 and times.values["other",].total == 1.25


def test_an_observer_that_fails_is_unplugged_and_told_of() -> None:
    heard: list[str] = []

    class Log:
        def listener(self, kind: type[object]) -> object:
            return lambda fact: heard.append(fact.NAME)

    class Broken:
        def listener(self, kind: type[object]) -> object:
            def fail(fact: object) -> None:
                raise ValueError("no")

            return fail

    told = Observers(Broken(), Log())  # type: ignore[arg-type]
    told.observe(FlowRemoved(flow="one"))
    told.observe(FlowRemoved(flow="two"))
    assert sorted(heard) == ["flow.removed", "flow.removed", "observer.failed"]
