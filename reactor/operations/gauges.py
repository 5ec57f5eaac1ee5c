"""Gauges of `/metrics`: numbers that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.contracts.run import Status
from reactor.contracts.states import SourceState
from reactor.contracts.store import QueueState, Store
from reactor.observe.metrics import Gauge
from reactor.router.sources import Source


def one(name: str, help: str, value: float) -> Gauge:
    """A gauge without labels."""
    return Gauge(name, help, (), [((), float(value))])


def of_daemon() -> list[Gauge]:
    return [Gauge("reactor_info", "The version.", ("version",), [((__version__,), 1.0)])]


async def of_runs(store: Store, active: int) -> list[Gauge]:
    counts = await store.counts()
    alive = [((status.value,), float(counts.get(status.value, 0))) for status in Status if not status.ended]
    return [
        Gauge("reactor_runs_alive", "Runs that have not ended, by status.", ("status",), alive),
        one("reactor_runs_in_memory", "Runs that this process works on.", active),
    ]


def of_flows(catalog: Catalog) -> list[Gauge]:
    errors = sum(problem.severity == "error" for problem in catalog.problems)
    return [
        one("reactor_flows", "Loaded flows.", len(catalog.flows.plans)),
        one("reactor_flow_problems", "Errors of flow files that were refused.", errors),
    ]


def of_sources(sources: Sequence[Source]) -> list[Gauge]:
    labels = ("source", "kind")
    listening = [((one.name, one.kind), float(one.state is SourceState.listening)) for one in sources]
    failures = [((one.name, one.kind), float(one.failures)) for one in sources]
    problems = [
        ((one.name, one.kind, one.state.value, (one.error or "")[:200]), 1.0)
        for one in sources
        if one.state is not SourceState.listening
    ]
    lags = [((one.name, one.kind), float(one.lag)) for one in sources if one.lag is not None]
    return [
        Gauge("reactor_source_up", "1 while a source listens.", labels, listening),
        Gauge("reactor_source_failures", "Failures in a row.", labels, failures),
        Gauge("reactor_source_problem", "Why a source does not listen.", (*labels, "state", "reason"), problems),
        Gauge("reactor_source_lag", "Messages a source is behind, where it can tell.", labels, lags),
    ]


def of_queues(queues: Sequence[QueueState], now: float) -> list[Gauge]:
    oldest = min((q.oldest for q in queues if q.oldest is not None), default=None)
    return [
        Gauge(
            "reactor_queue_waiting", "Messages of a durable queue that wait.", ("queue",),
            [((q.name,), float(q.waiting)) for q in queues],
        ),
        Gauge(
            "reactor_queue_active", "Messages of a durable queue whose runs have not ended.", ("queue",),
            [((q.name,), float(q.active)) for q in queues],
        ),
        one(
            "reactor_queue_oldest_seconds", "Age of the oldest message that waits in any queue.",
            0.0 if oldest is None else max(now - oldest, 0.0),
        ),
    ]  # fmt: skip


def of_store(store: Store) -> list[Gauge]:
    return [
        one("reactor_store_bytes", "The database and its log on disk.", store.size()),
        one("reactor_store_unreadable", "Rows that were found that cannot be read.", store.unreadable()),
        one("reactor_store_healthy", "1 while it accepts.", store.health() is None),
    ]


def of_stream(clients: int) -> list[Gauge]:
    return [one("reactor_stream_clients", "Clients that follow the stream.", clients)]
