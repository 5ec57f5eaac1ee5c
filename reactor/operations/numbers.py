"""The daemon's numbers: as metrics for machines, and as JSON for people."""

from __future__ import annotations

from collections.abc import Callable

from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.contracts.clock import Clock
from reactor.contracts.event import rfc3339
from reactor.contracts.store import Store
from reactor.engine.pool import Pool
from reactor.observe.feed import Feed
from reactor.observe.metrics import Gauge, Metrics
from reactor.operations import gauges
from reactor.operations.health import HealthOperations
from reactor.router.sources import Sources
from reactor.server import answers


class NumberOperations:
    """`lines_lost` gives the number of log lines that nobody read in time."""

    def __init__(
        self, metrics: Metrics, lines_lost: Callable[[], int], health: HealthOperations, store: Store, clock: Clock,
        catalog: Catalog, pool: Pool, sources: Sources, feed: Feed,
    ) -> None:  # fmt: skip
        self._metrics = metrics
        self._lines_lost = lines_lost
        self._health = health
        self._store = store
        self._clock = clock
        self._catalog = catalog
        self._pool = pool
        self._sources = sources
        self._feed = feed

    async def text(self) -> bytes:
        return self._metrics.text(await self._gauges(), self._lines_lost(), self._store.commit_times())

    async def _gauges(self) -> list[Gauge]:
        queues = await self._store.queues()
        return [
            *gauges.of_daemon(),
            *await gauges.of_runs(self._store, self._pool.active),
            *gauges.of_flows(self._catalog),
            *gauges.of_sources(list(self._sources.active.values())),
            *gauges.of_queues(queues, self._clock.now()),
            *gauges.of_store(self._store),
            *gauges.of_stream(self._feed.clients),
        ]

    async def stats(self) -> answers.Stats:
        ready = self._health.readiness()
        queues = await self._store.queues()
        counts = await self._store.counts()
        commits = self._store.commit_times()
        found = self._metrics.summary()
        return answers.Stats(
            version=__version__,
            ready=ready.status == "ready",
            at=rfc3339(self._clock.now()),
            events=found.events,
            refused=found.refused,
            runs=found.runs,
            steps=found.steps,
            flows=[answers.FlowStats(one.flow, one.runs, one.p50, one.p99) for one in found.flows],
            accept_p99=found.accept_p99,
            loop_delay_p99=found.loop_delay_p99,
            alive={name: n for name, n in counts.items() if name not in ("events", "runs")},
            in_memory=self._pool.active,
            queues=[answers.QueueStats(one.name, one.waiting, one.active) for one in queues],
            sources=ready.sources,
            connections=ready.connections,
            store=answers.StoreStats(
                ready.store, self._store.size(), commits.quantile(0.99) if commits is not None else None
            ),
        )
