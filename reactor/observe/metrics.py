"""Numbers of the daemon: counted from facts as they happen, written out in Prometheus's text format when asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from reactor.contracts.facts import (
    AuthRefused,
    EventAccepted,
    EventRefused,
    Fact,
    FlowLoaded,
    FlowRemoved,
    ResourceExhausted,
    RunEnded,
    RunPaused,
    SourceDisconnected,
    StepEnded,
)
from reactor.contracts.observe import Listener
from reactor.kit.histogram import Histogram

REMOVED = "(removed)"
"""The label of flows that are not loaded any more, under which their last runs count."""
MAX_SERIES = 2_000
"""Label sets of one metric; what comes beyond is counted under `other`."""
LOOP_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LOOK = 0.25
"""Seconds between two looks at how late the event loop is."""

Labels = tuple[str, ...]


class Counts:
    """A counter with labels."""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        try:
            self.values[labels] += by
        except KeyError:
            if len(self.values) >= MAX_SERIES:
                labels = ("other",) * len(labels)
            self.values[labels] = self.values.get(labels, 0) + by

    def drop(self, label: str, value: str) -> None:
        """Forgets the series in which a label has this value."""
        place = self.labels.index(label)
        self.values = {labels: count for labels, count in self.values.items() if labels[place] != value}


class Times:
    """A histogram with labels, in seconds."""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, Histogram] = {}

    def add(self, seconds: float, *labels: str) -> None:
        found = self.values.get(labels)
        if found is None:
            if len(self.values) >= MAX_SERIES:
                labels = ("other",) * len(labels)
            found = self.values.setdefault(labels, Histogram())
        found.add(seconds)

    def drop(self, label: str, value: str) -> None:
        """Forgets the series in which a label has this value."""
        place = self.labels.index(label)
        self.values = {labels: found for labels, found in self.values.items() if labels[place] != value}


class Gauge:
    """A number read when asked for: `values` gives label values and number."""

    def __init__(self, name: str, help: str, labels: tuple[str, ...], values: Iterable[tuple[Labels, float]]) -> None:
        self.name, self.help, self.labels, self.values = name, help, labels, list(values)


class FlowSummary(msgspec.Struct, frozen=True):
    """Runs of a flow that ended, by status, and how long they took in seconds."""

    flow: str
    runs: dict[str, float]
    p50: float | None
    p99: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Totals and latencies; these in seconds."""

    events: float
    refused: float
    runs: dict[str, float]
    """Ended runs by status."""
    steps: float
    flows: list[FlowSummary]
    accept_p99: float | None
    loop_delay_p99: float | None


class Metrics:
    """Listens to facts."""

    def __init__(self) -> None:
        self.events = Counts("reactor_events", "Events accepted, by kind of source.", "kind")
        self.refused = Counts("reactor_events_refused", "Events not accepted, by HTTP status of the reason.", "status")
        self.verdicts = Counts("reactor_verdicts", "What became of events, by flow.", "flow", "verdict")
        self.runs = Counts("reactor_runs", "Runs that ended, by outcome.", "flow", "status")
        self.paused = Counts("reactor_runs_paused", "Runs that were paused for a person.")
        self.steps = Counts("reactor_steps", "Actions performed, by outcome.", "action", "status")
        self.lost = Counts("reactor_source_disconnects", "Times a source lost its other side.", "kind")
        self.exhausted = Counts(
            "reactor_resource_exhausted", "Times that a resource was used up: descriptors, disk, memory.", "resource"
        )
        self.refusals = Counts(
            "reactor_auth_failures", "Requests without the right token or signature, by reason.", "reason"
        )
        self.accept = Times("reactor_accept_seconds", "From the event at the door to its commit.", "kind")
        self.run = Times("reactor_run_seconds", "From a run's start to its end, waits included.", "flow")
        self.step = Times("reactor_step_seconds", "One attempt of an action.", "action")
        self.loop = Histogram(LOOP_BOUNDS)
        self._kinds: dict[str, str] = {}
        self._gone: set[str] = set()
        self._heard: dict[type[Fact], Listener] = {
            EventAccepted: self._accepted,
            EventRefused: self._refused,
            RunEnded: self._ended,
            RunPaused: self._paused,
            StepEnded: self._stepped,
            SourceDisconnected: self._disconnected,
            ResourceExhausted: self._used_up,
            FlowLoaded: self._loaded,
            FlowRemoved: self._removed,
            AuthRefused: self._unauthorized,
        }

    def listener(self, kind: type[Fact]) -> Listener | None:
        return self._heard.get(kind)

    def _accepted(self, fact: EventAccepted) -> None:
        origin = fact.origin
        kind = self._kinds.get(origin)
        if kind is None:
            if len(self._kinds) > MAX_SERIES:
                self._kinds.clear()
            kind = self._kinds[origin] = origin.partition(":")[0]
        self.events.add(kind)
        self.accept.add(fact.seconds, kind)
        for verdict in fact.verdicts:
            self.verdicts.add(self._flow(verdict.flow), verdict.verdict)

    def _refused(self, fact: EventRefused) -> None:
        self.refused.add(str(fact.status))

    def _ended(self, fact: RunEnded) -> None:
        flow = self._flow(fact.flow)
        self.runs.add(flow, fact.status)
        self.run.add(fact.seconds, flow)

    def _flow(self, name: str) -> str:
        return REMOVED if self._gone and name in self._gone else name

    def _loaded(self, fact: FlowLoaded) -> None:
        self._gone.discard(fact.flow)

    def _removed(self, fact: FlowRemoved) -> None:
        """What can grow with every name that ever was is dropped."""
        flow = fact.flow
        if len(self._gone) < MAX_SERIES:
            self._gone.add(flow)
        for family in (self.verdicts, self.runs, self.run):
            family.drop("flow", flow)

    def _paused(self, fact: RunPaused) -> None:
        self.paused.add()

    def _stepped(self, fact: StepEnded) -> None:
        self.steps.add(fact.action, fact.status)
        self.step.add(fact.seconds, fact.action)

    def _used_up(self, fact: ResourceExhausted) -> None:
        self.exhausted.add(fact.resource)

    def _disconnected(self, fact: SourceDisconnected) -> None:
        self.lost.add(fact.source.partition(":")[0])

    def _unauthorized(self, fact: AuthRefused) -> None:
        self.refusals.add(fact.reason)

    def text(self, gauges: Sequence[Gauge], lines_lost: int, commits: Histogram | None) -> bytes:
        """All in the text format 0.0.4, with numbers that others know: gauges, lines of the log that were lost, and the
        times of the store's commits."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        families: list[Any] = []
        counters = (
            self.events, self.refused, self.verdicts, self.runs, self.paused, self.steps, self.lost, self.refusals,
            self.exhausted,
        )  # fmt: skip
        for counts in counters:
            family = CounterMetricFamily(counts.name, counts.help, labels=counts.labels)
            for labels, value in sorted(counts.values.items()):
                family.add_metric(labels, value)
            families.append(family)
        lost = CounterMetricFamily("reactor_log_lines_lost", "Lines of the log that nobody read in time.")
        lost.add_metric((), lines_lost)
        families.append(lost)
        times: list[tuple[str, str, tuple[str, ...], Iterable[tuple[Labels, Histogram]]]] = [
            (one.name, one.help, one.labels, sorted(one.values.items())) for one in (self.accept, self.run, self.step)
        ]
        times.append(("reactor_loop_delay_seconds", "How late the event loop was.", (), [((), self.loop)]))
        if commits is not None:
            help = "A commit of the store, its sync included."
            times.append(("reactor_store_commit_seconds", help, (), [((), commits)]))
        for name, help, names, values in times:
            histogram = HistogramMetricFamily(name, help, labels=names)
            for labels, one in values:
                histogram.add_metric(labels, one.buckets(), one.total)
            families.append(histogram)
        for gauge in gauges:
            shown = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in gauge.values:
                shown.add_metric(labels, value)
            families.append(shown)
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Families(families))
        return generate_latest(registry)

    def summary(self) -> Summary:
        """For `reactor top`."""
        runs: dict[str, float] = {}
        flows: dict[str, dict[str, float]] = {}
        for (flow, status), value in self.runs.values.items():
            runs[status] = runs.get(status, 0) + value
            flows.setdefault(flow, {})[status] = value
        return Summary(
            events=sum(self.events.values.values()),
            refused=sum(self.refused.values.values()),
            runs=runs,
            steps=sum(self.steps.values.values()),
            flows=[
                FlowSummary(flow, statuses, times.quantile(0.5), times.quantile(0.99))
                for flow, statuses in sorted(flows.items())
                if (times := self.run.values.get((flow,))) is not None
            ],
            accept_p99=max((h.quantile(0.99) or 0.0 for h in self.accept.values.values()), default=None),
            loop_delay_p99=self.loop.quantile(0.99),
        )


class _Families:
    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


async def watch_loop(metrics: Metrics, sleep: Callable[[float], Awaitable[None]], now: Callable[[], float]) -> None:
    """Notes how late the event loop wakes a task, until cancelled."""
    while True:
        due = now() + LOOK
        await sleep(LOOK)
        metrics.loop.add(max(now() - due, 0.0))
