"""The composition root: the only file that knows every room. It makes the parts and opens the one task group."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import socket as _socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec

from flows.connections import Connection
from flows.context import Kinds
from plugins import survivors
from plugins.host.host import Host
from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.config import Config, is_loopback, url_of
from reactor.contracts.errors import ConfigError, Overloaded, StoreFailed, StoreFull
from reactor.contracts.event import RESERVED_PREFIX, Cursor, Event
from reactor.contracts.facts import (
    ConfigWarning,
    DaemonFailed,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    ListenPlain,
    ProgramKilled,
    StoreIsFull,
    TemporaryRemoved,
    TlsLoaded,
    TlsRefused,
)
from reactor.contracts.plan import Plan
from reactor.contracts.store import Retention, Store
from reactor.contracts.text import shown
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.engine.until_space import until_space
from reactor.kinds.registry import ACTIONS, CONNECTIONS, TRIGGERS, LazyRegistry
from reactor.kit.clock import SystemClock, SystemIds
from reactor.kit.json_schema import compile_schema
from reactor.lending.action_memory import ActionMemory
from reactor.lending.clients import SharedClients
from reactor.lending.collections import StoreCollections
from reactor.lending.connections import Connections
from reactor.observe.feed import Feed
from reactor.observe.library import told
from reactor.observe.log import Log, Observers
from reactor.observe.metrics import Metrics, watch_loop
from reactor.observe.resources import Resources
from reactor.observe.writer import last_words
from reactor.operations.operations import Operations
from reactor.process import temporary
from reactor.process.notify import Notify
from reactor.process.places import Pointer, publish, socket_path, withdraw
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.router.sources import Sources
from reactor.secrets.lookup import Secrets
from reactor.store.sqlite.files import half_of_volume, private_directory
from triggers.kit.shared import Kind

PLAIN = (
    "{option} {host} has no TLS, so tokens and events cross the network in the clear; give --tls-cert and --tls-key,"
    " or name the proxies that have it with --behind-proxy"
)
PRUNE_EVERY = 60.0
PRUNE_LOOK = 2.0
"""Seconds after which a full disk is noticed: then what may go goes at once."""
PRUNE_BATCH = 500
SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the same one: a terminal and the bootloader both deliver it."""


def make_kinds(config: Config | None, secrets: Secrets | None = None) -> Kinds:
    """What flows are checked against. Without a configuration nothing beyond the safe set is allowed."""
    return Kinds(
        actions=LazyRegistry(ACTIONS),
        triggers=LazyRegistry(TRIGGERS),
        connections=LazyRegistry(CONNECTIONS),
        allow=config.allow if config is not None else frozenset(),
        secret_exists=secrets.exists if secrets is not None else None,
        environment=frozenset(config.env) if config is not None else None,
        schema=compile_schema,
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


class Daemon(Operations):
    """Everything that runs. `started` is set when store, flows and listener are up."""

    def __init__(self, config: Config, bundle: Path | None = None) -> None:
        self.config = config
        self.bundle = bundle
        self.clock: SystemClock = SystemClock()
        self.ids = SystemIds()
        format = None if config.log_format == "auto" else config.log_format
        self.secrets = Secrets(config.secrets)
        if config.admin_token is not None:
            self.secrets.hide(config.admin_token)
        self.log = Log(config.log_level, format, mask=self.secrets.mask)
        self.metrics = Metrics()
        self.feed = Feed(self.clock, self.secrets.mask)
        self.observer = Observers(self.log, self.metrics, self.feed)
        self.tracer: Any = None
        self.kinds = make_kinds(config, self.secrets)
        self.store = open_store(config)
        self.owner = self.ids.new("own_")
        self.started = anyio.Event()
        self.notify = Notify()
        self.failed: str | None = None
        self.tls: Any = None
        self.port = 0
        self.admin_port = 0
        self.stopping = anyio.Event()

    def stop(self) -> None:
        self.stopping.set()

    async def run(self) -> None:
        """Runs until stopped. Raises ConfigError when it cannot start, StoreFailed when the disk fails."""
        from reactor.server.app import HttpServer
        from reactor.server.auth import Access
        from reactor.server.front import Address
        from reactor.server.hooks import Hooks
        from reactor.server.proxies import Proxies
        from reactor.server.routes import all_routes
        from reactor.server.tls import Papers, Tls

        config = self.config
        for folder in await anyio.to_thread.run_sync(temporary.sweep):
            self.observer.observe(TemporaryRemoved(folder=str(folder)))
        for warning in config.warnings:
            self.observer.observe(ConfigWarning(message=warning))
        if config.tls_cert is not None and config.tls_key is not None:
            self.tls = Tls(Papers(config.tls_cert, config.tls_key, config.tls_client_ca))
        scheme = "http" if self.tls is None else "https"
        if config.store != "memory:":
            private_directory(config.data)  # the socket is there also when the store is elsewhere
        await self.store.open()
        await self._end_survivors()
        directories = [Path(flows) for flows in config.flows]
        catalog = Catalog(directories, self.kinds, self.store, self.clock, self.observer, self.bundle)
        self.catalog = catalog
        hooks = Hooks()
        environment = {name: os.environ[name] for name in config.env if name in os.environ}
        cleanup = contextlib.ExitStack()
        try:
            async with anyio.create_task_group() as group:
                pool = Pool(
                    group,
                    self.store,
                    self.clock,
                    self.observer,
                    catalog.plan,
                    self.owner,
                    config.max_active_runs,
                )
                self.pool = pool
                preparer = self.preparer = Preparer(
                    machine.MachineDecider(), self.ids, lambda: catalog.flows, pool, self.owner, environment
                )
                settlement = Settlement(pool, self.clock, self.observer)
                inbox = Inbox(self.store, preparer, settlement, self.clock, self.observer)
                self.inbox = inbox
                await pool.begin()
                settings = SimpleNamespace(
                    file_root=config.file_root,
                    allow=config.allow,
                    allow_networks=config.allow_networks,
                    seeded=False,
                    payloads=str(self.store.payloads.folder.absolute()),
                )
                connections = self.connections = Connections(
                    self.kinds.connections, self.secrets.get, environment, self.clock, self.observer
                )
                self.collections = StoreCollections(self.store, self.clock)
                clients = SharedClients(self.clock)
                performer = ActionPerformer(
                    self.kinds.actions, self.clock, self.secrets.get, settings, self.observer, connections,
                    lambda action: ActionMemory(self.store, action), self.collections, clients,
                )  # fmt: skip
                self.metrics.gauges = self._gauges
                self.metrics.log_lost = lambda: self.log.lost
                self.metrics.commits = self.store.commit_times
                pool.runner = Runner(self.store, preparer, performer, self.clock, self.observer, settlement)
                if config.otlp is not None:
                    from reactor.observe.trace import Tracer

                    self.tracer = Tracer(config.otlp, __version__, self.log)
                    self.observer.add(self.tracer)
                    performer.tracing = pool.runner.tracing = True
                self.sources = Sources(
                    group,
                    inbox,
                    self.store,
                    self.kinds.triggers,
                    self.clock,
                    hooks,
                    self.secrets.get,
                    self.observer,
                    connections,
                    await self._home(),
                )
                self.observer.add(self.sources)
                plugins = self.plugins = Host(
                    [Path(one) for one in config.plugins], self.kinds, self.clock, self.observer, self._published, Kind
                )
                await plugins.load(group)
                plugins.changed = self._plugins_changed
                catalog.connected = self._connections_changed
                catalog.changed = self._flows_changed
                server = HttpServer(
                    all_routes(self._services()),
                    hooks,
                    self.observer,
                    self.store.payloads.incoming,
                    self.tls,
                )
                await until_space(catalog.load, self.clock, self.observer)
                socket, told_of = socket_path(config.data) if config.store != "memory:" else (None, None)
                if told_of is not None:
                    self.observer.observe(ConfigWarning(message=told_of))

                def address(host: str, port: int, option: str) -> Address:
                    names, proxies = frozenset(config.allowed_host), Proxies(config.behind_proxy)
                    if not (is_loopback(host) or self.tls is not None or config.behind_proxy):
                        self.observer.observe(ListenPlain(message=PLAIN.format(option=option, host=host)))
                    access = Access(config.admin_token, is_loopback(host), names, proxies)
                    return Address(host, port, access, option)

                admin = address(*config.admin_address, "--admin-listen") if config.admin_address else None
                await server.open(address(config.host, config.port, "--listen"), admin, socket)
                self.port, self.admin_port = server.port, server.admin_port
                group.start_soon(self._guarded, pool.run)
                group.start_soon(self._guarded, catalog.watch)
                group.start_soon(self._guarded, self._prune)
                group.start_soon(Resources(self.observer, self.store.health).watch, self.clock.sleep)
                group.start_soon(connections.watch)
                group.start_soon(clients.watch)
                if survivors.adopts():
                    group.start_soon(survivors.reap, self.clock.sleep)
                if config.plugins:
                    group.start_soon(self._guarded, plugins.watch)
                group.start_soon(self.feed.run)
                group.start_soon(watch_loop, self.metrics, self.clock.sleep, self.clock.monotonic)
                await self._sources_settle()
                pointer = publish(
                    Pointer(
                        pid=os.getpid(),
                        data=shown(str(config.data.absolute())),
                        socket=shown(str(socket)) if socket is not None else None,
                        url=url_of(scheme, config.host, self.port),
                    )
                )
                cleanup.callback(withdraw, pointer)
                apart = {"admin": url_of(scheme, admin.host, self.admin_port)} if admin else {}
                self.observer.observe(
                    DaemonStarted(url=url_of(scheme, config.host, self.port), flows=len(catalog.flows.plans),
                    version=__version__, pid=os.getpid(), **apart,
                ))  # fmt: skip
                self.started.set()
                self.notify.say("READY=1", f"MAINPID={os.getpid()}", f"STATUS={len(catalog.flows.plans)} flows")
                group.start_soon(self.notify.watchdog, self.clock.sleep, lambda: self.failed is None)
                gc.freeze()  # what is loaded stays: the collector need not look at it again and again
                await self.stopping.wait()
                self.notify.say("STOPPING=1")
                self.observer.observe(DaemonStopping(active=pool.active))
                await self.sources.stop()
                inbox.closed = True
                await pool.drain(config.drain)
                self.feed.close()
                await server.close()
                await plugins.stop()
                await connections.close()
                await clients.close()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            _unwrap(errors)
        finally:
            cleanup.close()
            with anyio.CancelScope(shield=True):
                await self.store.close()
                if self.tracer is not None:
                    await anyio.to_thread.run_sync(self.tracer.close)
        if self.failed is not None:
            raise StoreFailed(self.failed)
        self.observer.observe(DaemonStopped())

    def reload_tls(self) -> None:
        """Reads certificate and key again. One that cannot be used leaves the one before in its place."""
        if self.tls is None:
            return
        try:
            self.tls.reload()
        except ConfigError as error:
            self.observer.observe(TlsRefused(error=str(error)))
        else:
            self.observer.observe(TlsLoaded(cert=self.config.tls_cert or ""))

    async def _end_survivors(self) -> None:
        """What programs of a killed daemon started must not run beside their second life."""
        if self.config.store == "memory:":
            return
        for one in await anyio.to_thread.run_sync(survivors.RECORD.keep, self.config.data):
            self.observer.observe(ProgramKilled(pid=one.pid, program=one.mark))

    async def _sources_settle(self) -> None:
        """Sources that need no connection are up before the daemon says that it is."""
        with anyio.move_on_after(2.0):
            for source in list(self.sources.active.values()):
                await source.ready.wait()

    async def _guarded(self, work: Callable[[], Any]) -> None:
        """A store whose disk failed ends the daemon: it is reopened, never trusted again by this process."""
        try:
            await work()
        except StoreFailed as error:
            self.failed = str(error)
            self.observer.observe(DaemonFailed(error=str(error)))
            self.stopping.set()

    async def _prune(self) -> None:
        retention = self._retention()
        while True:
            try:
                await self.store.sweep()
                break
            except StoreFull as error:
                await self.clock.sleep(error.retry_after)
        while True:
            try:
                while await self.store.prune(self.clock.now(), retention, PRUNE_BATCH):
                    await self.clock.sleep(0.05)
            except StoreFull:
                self.observer.observe(StoreIsFull())
            due = self.clock.monotonic() + PRUNE_EVERY
            while True:
                await self.clock.sleep(PRUNE_LOOK)
                if self.clock.monotonic() >= due or self.store.health() is not None:
                    break

    def _retention(self) -> Retention:
        """The bytes that nobody asked for are at most half of the volume."""
        config = self.config
        most = config.retention_bytes
        if config.origins["retention_bytes"][1] == "default" and config.store != "memory:":
            most = min(most, half_of_volume(self.store.payloads.folder.parent))
        return Retention(age=config.retention, count=config.retention_count, bytes=most)

    async def _home(self) -> str:
        """What tells this daemon from others on the same brokers and databases: it goes with the data, so that sessions
        and slots are found again in another container, or in a directory that was moved."""
        made = f"{_socket.gethostname()}:{self.config.data.absolute()}"
        known = (await self.store.cursor("reactor")).get("home")
        if isinstance(known, str):
            return known
        with contextlib.suppress(StoreFull):
            await self.store.move([Cursor("reactor", "home", made)])
        return made

    async def _plugins_changed(self) -> None:
        """Flows that use the plugin's kinds are checked and loaded at once."""
        await self.catalog.refresh(anew=True)

    async def _published(self, given: dict[str, Any]) -> dict[str, Any]:
        """An event that a plugin sends by itself."""
        try:
            event = msgspec.convert({"source": "plugin", **given}, Event)
        except msgspec.ValidationError as error:
            raise ValueError(f"that is no event: {error}") from None
        receipt = await self.inbox.emit("event", event)
        return {"event": receipt.event, "runs": len(receipt.runs)}

    async def _connections_changed(self, found: dict[str, Connection]) -> None:
        """Sources whose connection has other settings begin anew with them."""
        self.collections.update(self.catalog.collections)
        changed = self.connections.update(found)
        if changed:
            await self.sources.restart(changed)

    async def _flows_changed(self, flows: FlowSet, new: list[Plan]) -> None:
        """Sources follow the flows; flows that listen for it are told what was loaded."""
        await self.sources.update(flows)
        kind = f"{RESERVED_PREFIX}flow.loaded"
        told = [
            Event(
                type=kind,
                source=f"/flows/{plan.flow}",
                data={"flow": plan.flow, "version": plan.version, "file": plan.file},
            )
            for plan in new
            if flows.listens(kind)
        ]
        if told:
            self.sources.group.start_soon(self._guarded, functools.partial(self._tell, told))

    async def _tell(self, events: list[Event]) -> None:
        """The daemon's own events, once there is room for them."""
        for event in events:
            while True:
                try:
                    await self.inbox.tell(event.type, event.source, event.data)
                    break
                except Overloaded as error:
                    if self.stopping.is_set():
                        return
                    await self.clock.sleep(error.retry_after)


def _unwrap(errors: BaseExceptionGroup[Any]) -> None:
    """One cause is raised as itself."""
    flat: list[BaseException] = []
    stack: list[BaseException] = [errors]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        else:
            flat.append(error)
    for error in flat:
        if isinstance(error, (ConfigError, StoreFailed)):
            raise error
    raise errors


async def serve(daemon: Daemon) -> None:
    """Runs the daemon with signals: SIGTERM and SIGINT drain, a second one stops at once, SIGHUP reloads."""
    async with anyio.create_task_group() as group:

        async def signals() -> None:
            asked: float | None = None
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
                async for number in received:
                    if number == signal.SIGHUP:
                        if daemon.started.is_set():
                            daemon.reload_tls()
                            await daemon.catalog.refresh()
                    elif asked is None:
                        asked = daemon.clock.monotonic()
                        daemon.stop()
                    elif daemon.clock.monotonic() - asked > SAME_SIGNAL:
                        os._exit(1)

        group.start_soon(signals)
        try:
            await daemon.run()
        except BaseExceptionGroup as errors:
            _unwrap(errors)
        group.cancel_scope.cancel()


def run_daemon(config: Config, bundle: Path | None = None) -> int:
    """Blocks until the daemon ends; the exit code."""
    sys.setswitchinterval(0.002)  # measured: 79 µs a request, against 95 to 120 at 0.5 ms
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    daemon = Daemon(config, bundle)
    options: dict[str, Any] = {}
    try:
        import uvloop  # noqa: F401

        options = {"use_uvloop": True}
    except ImportError:
        options = {}
    try:
        with told(daemon.observer):
            anyio.run(serve, daemon, backend="asyncio", backend_options=options)
    except BaseExceptionGroup as errors:
        try:
            _unwrap(errors)
        except (ConfigError, StoreFailed) as error:
            return _fail(error)
        return 1
    except (ConfigError, StoreFailed) as error:
        return _fail(error)
    finally:
        daemon.log.flush()
    return 0


def _fail(error: Exception) -> int:
    last_words(f"reactor: {error}")
    return 1
