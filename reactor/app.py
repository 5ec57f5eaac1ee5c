"""The composition root: the only file that knows every room. It makes the parts and opens the one task group."""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from flows.context import Kinds
from plugins import survivors
from plugins.host.host import Host
from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.catalog.versions import FlowVersions
from reactor.config import Config, url_of
from reactor.contracts.action import ActionSettings
from reactor.contracts.errors import ConfigError, StoreFailed
from reactor.contracts.facts import ConfigWarning, DaemonStarted, DaemonStopped, DaemonStopping
from reactor.contracts.kinds import AnyAction, AnyConnection, AnyTrigger
from reactor.contracts.store import Store
from reactor.contracts.text import shown
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.engine.until_space import until_space
from reactor.kinds.registry import ACTIONS, CONNECTIONS, TRIGGERS, LazyRegistry
from reactor.kit.clock import SystemClock, SystemIds
from reactor.kit.json_schema import compile_schema
from reactor.lending.clients import SharedClients
from reactor.lending.collections import StoreCollections
from reactor.lending.connections import Connections
from reactor.lending.lending import Lending
from reactor.observe.feed import Feed
from reactor.observe.library import told
from reactor.observe.log import Log, Observers
from reactor.observe.metrics import Metrics, watch_loop
from reactor.observe.resources import Resources
from reactor.observe.writer import last_words
from reactor.operations.actions import ActionOperations
from reactor.operations.connections import ConnectionOperations
from reactor.operations.events import DeadLetterOperations, EventOperations
from reactor.operations.flows import FlowOperations
from reactor.operations.health import HealthOperations
from reactor.operations.numbers import NumberOperations
from reactor.operations.plugins import PluginOperations
from reactor.operations.queues import QueueOperations
from reactor.operations.runs import RunOperations
from reactor.operations.sources import SourceOperations
from reactor.operations.webhooks import WebhookOperations
from reactor.process import temporary
from reactor.process.interpreter import causes, exit_code, loop_options, tune
from reactor.process.notify import Notify
from reactor.process.places import Pointer, publish, withdraw
from reactor.process.signals import follow_signals
from reactor.router.inbox import Inbox
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.router.sources import Sources
from reactor.secrets.lookup import Secrets
from reactor.server.services import Services
from reactor.store.sqlite.files import private_directory
from reactor.upkeep import leftovers
from reactor.upkeep.following import Following, settle
from reactor.upkeep.guard import Guard
from reactor.upkeep.home import home_of
from reactor.upkeep.own_events import OwnEvents
from reactor.upkeep.pruning import prune, retention_of

if TYPE_CHECKING:
    from reactor.observe.trace import Tracer
    from reactor.server.app import HttpServer
    from reactor.server.hooks import Hooks
    from reactor.server.tls import Tls


def make_kinds(config: Config | None, secrets: Secrets | None = None) -> Kinds:
    """What flows are checked against. Without a configuration nothing beyond the safe set is allowed."""
    return Kinds(
        actions=LazyRegistry[AnyAction](ACTIONS),
        triggers=LazyRegistry[AnyTrigger](TRIGGERS),
        connections=LazyRegistry[AnyConnection](CONNECTIONS),
        allow=config.allow if config is not None else frozenset(),
        secret_exists=secrets.exists if secrets is not None else None,
        environment=frozenset(config.env) if config is not None else None,
        make_validator=compile_schema,
        file_root=config.file_root if config is not None else None,
    )


def open_store(config: Config) -> Store:
    if config.store == "memory:":
        from reactor.store.memory.store import MemoryStore

        return MemoryStore(temporary.make("reactor-payloads-"))
    if config.store == "sqlite" or config.store.startswith("sqlite:///"):
        from reactor.store.sqlite.store import SqliteStore

        directory = config.data if config.store == "sqlite" else Path(config.store.removeprefix("sqlite://"))
        return SqliteStore(directory, config.disk_floor)
    raise ConfigError(f"--store {config.store}: this version has sqlite, sqlite:///DIRECTORY and memory:")


class Engine:
    """Pool, inbox and runner know one another: what a run sends comes in by the inbox, which asks the pool for room."""

    def __init__(self, daemon: Daemon, group: TaskGroup, versions: FlowVersions, performer: ActionPerformer) -> None:
        self._daemon = daemon
        self._versions = versions
        self._performer = performer
        self.pool = Pool(
            group,
            daemon.store,
            daemon.clock,
            daemon.observer,
            versions.plan,
            daemon.owner,
            self._runner,
            daemon.config.max_active_runs,
        )

    def _runner(self, pool: Pool) -> Runner:
        daemon = self._daemon
        self.preparer = Preparer(
            machine.MachineDecider(), daemon.ids, lambda: self._versions.flows, pool, daemon.owner, daemon.environment
        )
        settlement = Settlement(pool, daemon.clock, daemon.observer)
        self.inbox = Inbox(daemon.store, self.preparer, settlement, daemon.clock, daemon.observer)
        return Runner(
            daemon.store, self.preparer, self._performer, daemon.clock, daemon.observer, settlement, daemon.tracing
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon that has a task group is made of."""

    pool: Pool
    inbox: Inbox
    preparer: Preparer
    lending: Lending
    sources: Sources
    catalog: Catalog
    plugins: Host
    hooks: Hooks
    versions: FlowVersions
    tls: Tls | None


class Daemon:
    """Everything that runs. `started` is set when store, flows and listener are up."""

    def __init__(self, config: Config, bundle: Path | None = None) -> None:
        self.config = config
        self.bundle = bundle
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.secrets = Secrets(config.secrets)
        if config.admin_token is not None:
            self.secrets.hide(config.admin_token)
        format = None if config.log_format == "auto" else config.log_format
        self.log = Log(config.log_level, format, mask=self.secrets.mask)
        self.metrics = Metrics()
        self.feed = Feed(self.clock, self.secrets.mask)
        self.observer = Observers(self.log, self.metrics, self.feed)
        self.tracing = config.otlp is not None
        self.tracer: Tracer | None = None
        self.kinds = make_kinds(config, self.secrets)
        self.store = open_store(config)
        self.owner = self.ids.new("own_")
        self.started = anyio.Event()
        self.stopping = anyio.Event()
        self.guard = Guard(self.stopping, self.observer)
        self.notify = Notify()  # it takes its variables away, so that nothing else sees them
        self.environment = {name: os.environ[name] for name in config.env if name in os.environ}
        self.parts: Parts | None = None

    def stop(self) -> None:
        self.stopping.set()

    async def reload(self) -> None:
        """Reads certificate and flows again, once the daemon has started."""
        if self.parts is not None and self.started.is_set():
            if self.parts.tls is not None:
                self.parts.tls.refresh(self.observer)
            await self.parts.catalog.refresh()

    async def run(self) -> None:
        """Runs until stopped. Raises ConfigError when it cannot start, StoreFailed when the disk fails."""
        from reactor.operations.addresses import tls_of

        config = self.config
        await leftovers.remove_folders(self.observer)
        for warning in config.warnings:
            self.observer.observe(ConfigWarning(message=warning))
        tls = tls_of(config)
        if config.store != "memory:":
            private_directory(config.data)  # the socket is there also when the store is elsewhere
        await self.store.open()
        await leftovers.end_programs(config, self.observer)
        resources = contextlib.ExitStack()
        try:
            with causes():
                async with anyio.create_task_group() as group:
                    await self._live(group, resources, tls)
                    group.cancel_scope.cancel()
        finally:
            resources.close()
            with anyio.CancelScope(shield=True):
                await self._close()
        if self.guard.failed is not None:
            raise StoreFailed(self.guard.failed)
        self.observer.observe(DaemonStopped())

    async def _close(self) -> None:
        await self.store.close()
        if self.tracer is not None:
            await anyio.to_thread.run_sync(self.tracer.close)

    async def _live(self, group: TaskGroup, resources: contextlib.ExitStack, tls: Tls | None) -> None:
        """From the first part to the end of the last."""
        from reactor.operations.addresses import listen
        from reactor.server.app import HttpServer
        from reactor.server.routes import all_routes

        parts = self.parts = await self._parts(group, tls)
        server = HttpServer(
            all_routes(self._services(parts)), parts.hooks, self.observer, self.store.payloads.incoming, tls
        )
        await until_space(parts.catalog.load, self.clock, self.observer)
        socket = await listen(server, self.config, self.observer)
        self._start(group, parts)
        await settle(parts.sources)
        self._announce(parts, server, socket, resources)
        group.start_soon(self.notify.watchdog, self.clock.sleep, self.guard.is_healthy)
        gc.freeze()  # what is loaded stays: the collector need not look at it again and again
        await self.stopping.wait()
        self.notify.say("STOPPING=1")
        self.observer.observe(DaemonStopping(active=parts.pool.active))
        await self._end(parts, server)

    async def _parts(self, group: TaskGroup, tls: Tls | None) -> Parts:
        from reactor.server.hooks import Hooks

        hooks = Hooks()
        versions = FlowVersions(self.kinds, self.store, self.clock)
        lending = self._lending()
        engine = Engine(self, group, versions, self._performer(lending))
        pool, inbox = engine.pool, engine.inbox
        await pool.begin()
        self._trace()
        sources = Sources(
            group, inbox, self.store, self.kinds.triggers, self.clock, hooks, self.secrets.get, self.observer,
            pool, lending.connections, await home_of(self.store, self.config.data),
        )  # fmt: skip
        events = OwnEvents(inbox, self.clock, self.stopping.is_set)
        catalog = Catalog(
            [Path(flows) for flows in self.config.flows], self.kinds, versions, self.clock, self.observer,
            Following(lending, sources, events, group, self.guard), self.bundle,
        )  # fmt: skip
        plugins = Host(
            [Path(one) for one in self.config.plugins], self.kinds, self.clock, self.observer, events.publish,
            catalog.recheck,
        )  # fmt: skip
        await plugins.load(group)
        return Parts(pool, inbox, engine.preparer, lending, sources, catalog, plugins, hooks, versions, tls)

    def _lending(self) -> Lending:
        connections = Connections(self.kinds.connections, self.secrets.get, self.environment, self.clock, self.observer)
        return Lending(self.store, connections, StoreCollections(self.store, self.clock), SharedClients(self.clock))

    def _performer(self, lending: Lending) -> ActionPerformer:
        settings = ActionSettings(
            file_root=self.config.file_root,
            allow=self.config.allow,
            allow_networks=self.config.allow_networks,
            payloads=str(self.store.payloads.folder.absolute()),
        )
        return ActionPerformer(
            self.kinds.actions, self.clock, self.secrets.get, settings, self.observer, lending.connections,
            lending.memory, lending.collections, lending.clients, self.tracing,
        )  # fmt: skip

    def _trace(self) -> None:
        if self.config.otlp is not None:
            from reactor.observe.trace import Tracer

            self.tracer = Tracer(self.config.otlp, __version__, self.log)
            self.observer.add(self.tracer)

    def _services(self, parts: Parts) -> Services:
        store, clock, inbox, catalog = self.store, self.clock, parts.inbox, parts.catalog
        health = HealthOperations(
            self.config, self._is_serving, store, catalog, parts.pool, parts.sources, parts.lending.connections
        )
        return Services(
            version=__version__,
            events=EventOperations(store, inbox, lambda: catalog.flows),
            dead_letters=DeadLetterOperations(store, inbox),
            runs=RunOperations(store, parts.versions),
            flows=FlowOperations(store, catalog, inbox, parts.preparer, clock),
            sources=SourceOperations(parts.sources, lambda: catalog.flows),
            connections=ConnectionOperations(parts.lending.connections),
            plugins=PluginOperations(parts.plugins),
            queues=QueueOperations(store, parts.preparer, clock, self.observer),
            actions=ActionOperations(self.kinds.actions),
            webhooks=WebhookOperations(parts.lending.memory("webhook.send")),
            health=health,
            numbers=NumberOperations(
                self.metrics, lambda: self.log.lost, health, store, clock, catalog, parts.pool, parts.sources, self.feed
            ),
            stream=self.feed,
        )

    def _is_serving(self) -> bool:
        return self.started.is_set() and not self.stopping.is_set()

    def _start(self, group: TaskGroup, parts: Parts) -> None:
        """All that goes on beside the requests."""
        for work in (parts.pool.run, parts.catalog.watch, self._prune):
            group.start_soon(self.guard.run, work)
        group.start_soon(Resources(self.observer, self.store.health).watch, self.clock.sleep)
        group.start_soon(parts.lending.connections.watch)
        group.start_soon(parts.lending.clients.watch)
        if survivors.adopts():
            group.start_soon(survivors.reap, self.clock.sleep)
        if self.config.plugins:
            group.start_soon(self.guard.run, parts.plugins.watch)
        group.start_soon(self.feed.run)
        group.start_soon(watch_loop, self.metrics, self.clock.sleep, self.clock.monotonic)

    async def _prune(self) -> None:
        await prune(self.store, retention_of(self.config, self.store), self.clock, self.observer)

    def _announce(self, parts: Parts, server: HttpServer, socket: Path | None, resources: contextlib.ExitStack) -> None:
        """Says where it is, to commands, to people and to the supervisor."""
        config = self.config
        scheme = "http" if parts.tls is None else "https"
        url = url_of(scheme, config.host, server.port)
        pointer = publish(
            Pointer(
                pid=os.getpid(),
                data=shown(str(config.data.absolute())),
                socket=shown(str(socket)) if socket is not None else None,
                url=url,
            )
        )
        resources.callback(withdraw, pointer)
        admin = config.admin_address
        apart = {"admin": url_of(scheme, admin[0], server.admin_port)} if admin else {}
        flows = len(parts.catalog.flows.plans)
        self.observer.observe(DaemonStarted(url=url, flows=flows, version=__version__, pid=os.getpid(), **apart))
        self.started.set()
        self.notify.say("READY=1", f"MAINPID={os.getpid()}", f"STATUS={flows} flows")

    async def _end(self, parts: Parts, server: HttpServer) -> None:
        await parts.sources.stop()
        parts.inbox.closed = True
        await parts.pool.drain(self.config.drain)
        self.feed.close()
        await server.close()
        await parts.plugins.stop()
        await parts.lending.close()


async def serve(daemon: Daemon) -> None:
    """Runs the daemon with signals: SIGTERM and SIGINT drain, a second one stops at once, SIGHUP reloads."""
    async with anyio.create_task_group() as group:
        group.start_soon(follow_signals, daemon.stop, daemon.reload, daemon.clock)
        with causes():
            await daemon.run()
        group.cancel_scope.cancel()


def run_daemon(config: Config, bundle: Path | None = None) -> int:
    """Blocks until the daemon ends; the exit code."""
    tune()
    daemon = Daemon(config, bundle)

    def work() -> None:
        with told(daemon.observer):
            anyio.run(serve, daemon, backend="asyncio", backend_options=loop_options())

    try:
        return exit_code(work, last_words)
    finally:
        daemon.log.flush()
