"""How the daemon is: the store, what is not connected, and the options that hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.config import Config
from reactor.contracts.states import ConnectionState, SourceState
from reactor.contracts.store import Store
from reactor.engine.pool import Pool
from reactor.lending.connections import Connections
from reactor.router.sources import Sources
from reactor.server import answers


class HealthOperations:
    """`serving` says whether the daemon has started and does not stop."""

    def __init__(
        self, config: Config, serving: Callable[[], bool], store: Store, catalog: Catalog, pool: Pool,
        sources: Sources, connections: Connections,
    ) -> None:  # fmt: skip
        self._config = config
        self._serving = serving
        self._store = store
        self._catalog = catalog
        self._pool = pool
        self._sources = sources
        self._connections = connections

    def store(self) -> str | None:
        return self._store.health()

    def readiness(self) -> answers.Readiness:
        health = self._store.health()
        return answers.Readiness(
            status="ready" if self._serving() and health is None else "not ready",
            version=__version__,
            store=health or "ok",
            flows=len(self._catalog.flows.plans),
            flow_problems=sum(1 for problem in self._catalog.problems if problem.severity == "error"),
            refused=self._catalog.refused,
            active_runs=self._pool.active,
            unreadable=self._store.unreadable(),
            sources={
                source.name: source.error or source.warning or source.state.value
                for source in self._sources.active.values()
                if source.state is not SourceState.listening or source.warning
            },
            connections={
                one.name: one.error for one in self._connections.items() if one.state is ConnectionState.disconnected
            },
        )

    def configuration(self) -> answers.Configuration:
        """Without secrets, also those in URLs."""
        options = {
            name: answers.OptionValue("***" if isinstance(value, str) and "@" in value else value, origin)
            for name, (value, origin) in self._config.origins.items()
        }
        return answers.Configuration(str(Path.cwd()), options)
