"""The composition root: the only file that knows every room. It makes the parts and opens the one task group."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec

from flows.context import Kinds
from reactor import __version__
from reactor.catalog import Catalog
from reactor.clock import SystemClock, SystemIds
from reactor.config import Config
from reactor.contracts.errors import ConfigError, Diverged, Refused, StepFailed, StoreFailed, StoreFull
from reactor.contracts.event import RESERVED_PREFIX, Event, StoredEvent, Verdict
from reactor.contracts.plan import Plan
from reactor.contracts.run import Change, RunRecord
from reactor.contracts.store import Retention, Store
from reactor.contracts.trigger import Receipt
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.engine.trace import Trace
from reactor.observe.log import Log, Observers
from reactor.reference import action_item, action_items
from reactor.registry import ACTIONS, TRIGGERS, LazyRegistry
from reactor.router.inbox import Inbox, outcome_of
from reactor.router.match import FlowSet, explain
from reactor.router.sources import Sources
from reactor.schemas import compile_schema
from reactor.secrets import Secrets

PRUNE_EVERY = 60.0
PRUNE_BATCH = 500
SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the same one: a terminal and the bootloader both deliver it."""


def make_kinds(config: Config | None, secrets: Secrets | None = None) -> Kinds:
    """What flows are checked against. Without a configuration nothing beyond the safe set is allowed."""
    return Kinds(
        actions=LazyRegistry(ACTIONS),
        triggers=LazyRegistry(TRIGGERS),
        allow=config.allow if config is not None else frozenset(),
        secret_exists=secrets.exists if secrets is not None else None,
        environment=frozenset(config.env) if config is not None else None,
        schema=compile_schema,
        file_root=config.file_root if config is not None else None,
    )


def open_store(config: Config) -> Store:
    if config.store == "memory:":
        from reactor.store.memory import MemoryStore

        return MemoryStore()
    if config.store == "sqlite" or config.store.startswith("sqlite:///"):
        from reactor.store.sqlite import SqliteStore

        directory = config.data if config.store == "sqlite" else Path(config.store.removeprefix("sqlite://"))
        return SqliteStore(directory, config.disk_floor)
    raise ConfigError(f"--store {config.store}: this version has sqlite, sqlite:///DIRECTORY and memory:")


class Daemon:
    """Everything that runs. `started` is set when store, flows and listener are up."""

    def __init__(self, config: Config, bundle: Path | None = None, log: Any = None) -> None:
        self.config = config
        self.bundle = bundle
        self.clock = SystemClock()
        self.ids = SystemIds()
        format = None if config.log_format == "auto" else config.log_format
        self.log = log if log is not None else Log(config.log_level, format)
        self.observer = Observers(self.log)
        self.secrets = Secrets(config.secrets)
        self.kinds = make_kinds(config, self.secrets)
        self.store = open_store(config)
        self.owner = self.ids.new("own_")
        self.started = anyio.Event()
        self.failed: str | None = None
        self.port = 0
        self._stop = anyio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Runs until stopped. Raises ConfigError when it cannot start, StoreFailed when the disk fails."""
        from reactor.server.app import HttpServer
        from reactor.server.auth import Access
        from reactor.server.hooks import Hooks
        from reactor.server.routes import all_routes

        config = self.config
        await self.store.open()
        directories = [Path(flows) for flows in config.flows]
        catalog = Catalog(directories, self.kinds, self.store, self.clock, self.observer, self.bundle)
        self.catalog = catalog
        hooks = Hooks()
        environment = {name: os.environ[name] for name in config.env if name in os.environ}
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
                inbox = Inbox(
                    self.store, machine.MachineDecider(), self.clock, self.ids, lambda: catalog.flows, pool,
                    self.owner, environment, self.observer,
                )  # fmt: skip
                self.inbox = inbox
                settings = SimpleNamespace(
                    file_root=config.file_root,
                    allow=config.allow,
                    allow_networks=config.allow_networks,
                    seeded=False,
                )
                performer = ActionPerformer(self.kinds.actions, self.clock, self.secrets.get, settings, self.observer)
                pool.runner = Runner(self.store, inbox, performer, self.clock, self.observer, self._told)
                self.sources = Sources(
                    group,
                    inbox,
                    self.store,
                    self.kinds.triggers,
                    self.clock,
                    hooks,
                    self.secrets.get,
                    self.observer,
                )
                catalog.changed = self._flows_changed
                server = HttpServer(
                    all_routes(self._services()),
                    hooks,
                    Access(config.admin_token, config.loopback, frozenset(config.allowed_host)),
                    self.observer,
                )
                await catalog.load()
                socket = config.data / "reactor.sock" if config.store != "memory:" else None
                await server.open(config.host, config.port, socket)
                self.port = server.port
                group.start_soon(self._guarded, pool.run)
                group.start_soon(self._guarded, catalog.watch)
                group.start_soon(self._guarded, self._prune)
                await self._sources_settle()
                self.observer.observe(
                    "daemon.started", url=f"http://{config.host}:{self.port}", flows=len(catalog.flows.plans),
                    version=__version__, pid=os.getpid(),
                )  # fmt: skip
                self.started.set()
                await self._stop.wait()
                self.observer.observe("daemon.stopping", active=pool.active)
                await self.sources.stop()
                inbox.closed = True
                await pool.drain(config.drain)
                await server.close()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            _unwrap(errors)
        finally:
            with anyio.CancelScope(shield=True):
                await self.store.close()
        if self.failed is not None:
            raise StoreFailed(self.failed)
        self.observer.observe("daemon.stopped")

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
            self.observer.observe("daemon.failed", error=str(error))
            self._stop.set()

    async def _prune(self) -> None:
        retention = Retention(
            age=self.config.retention, count=self.config.retention_count, bytes=self.config.retention_bytes
        )
        while True:
            await self.clock.sleep(PRUNE_EVERY)
            try:
                while await self.store.prune(self.clock.now(), retention, PRUNE_BATCH):
                    await self.clock.sleep(0.05)
            except StoreFull:
                self.observer.observe("store.full")
            health = self.store.health()
            if isinstance(getattr(self.store, "_failed", None), str) and health is not None:
                raise StoreFailed(health)

    async def _flows_changed(self, flows: FlowSet, new: list[Plan]) -> None:
        """Sources follow the flows; flows that listen for it are told what was loaded."""
        await self.sources.update(flows)
        kind = f"{RESERVED_PREFIX}flow.loaded"
        for plan in new if flows.listens(kind) else ():
            data = {"flow": plan.flow, "version": plan.version, "file": plan.file}
            event = Event(type=kind, source=f"/flows/{plan.flow}", data=data)
            await self.inbox.commit(self.inbox.prepare("event", event, self.clock.now(), own=True))

    def _told(self, run: str, flow: str, change: Change) -> None:
        self.inbox.waiters.tell(outcome_of(run, flow, change))

    def _services(self) -> Any:
        from reactor.server.services import Services

        return Services(
            store=self.store,
            emit=lambda origin, event, wait: self.inbox.emit(origin, event, wait),
            start=self._start,
            why=self._why,
            tree=self._tree,
            retryable=self._retryable,
            flows=self._flow_items,
            flow=self._flow_item,
            triggers=self._trigger_items,
            actions=lambda: action_items(self.kinds.actions),
            action=lambda name: action_item(self.kinds.actions, name),
            ready=self._ready,
            reload=self._reload,
        )

    async def _start(self, flow: str, inputs: Any, key: str | None, wait: float | None) -> Receipt:
        plan = self.catalog.flows.plans[flow]
        if not plan.enabled:
            raise Refused(409, "Disabled", f"the flow {flow} has `enabled: false`")
        if plan.inputs is not None:
            problems = plan.inputs.problems(inputs)
            if problems:
                raise Refused(422, "The inputs do not fit", "; ".join(problems))
        event = Event(type="manual", source=f"/flows/{flow}", data=inputs, key=key)
        try:
            prepared = self.inbox.start(plan, event, "manual", self.clock.now())
        except StepFailed as error:
            raise Refused(422, "The inputs do not fit", str(error)) from None
        return await self.inbox.commit(prepared, wait)

    def _why(self, stored: StoredEvent) -> list[Verdict]:
        return explain(self.catalog.flows, stored)

    async def _fold(self, record: RunRecord, trace: Trace | None) -> Any:
        plan = await self.catalog.plan(record.version)
        event = await self.store.event(record.event)
        if plan is None or event is None:
            return None
        merged = [await self.store.event(id) for id in record.events] if len(record.events) > 1 else [event]
        entries = await self.store.entries(record.id)
        # in a thread: a long loop is folded again from its beginning, and the event loop must not wait for it
        return await anyio.to_thread.run_sync(
            lambda: machine.recover(
                plan,
                event,
                record.id,
                record.trigger,
                record.started or record.created,
                record.environment,
                entries,
                [one for one in merged if one is not None],
                trace,
            )
        )

    async def _tree(self, record: RunRecord) -> dict[str, Any]:
        if record.started is None:
            return {"vars": {}, "steps": []}
        trace = Trace()
        try:
            run = await self._fold(record, trace)
        except Diverged as error:
            return {"vars": {}, "steps": trace.roots, "problem": str(error)}
        if run is None:
            return {"vars": {}, "steps": [], "problem": "the flow's version or the event is gone"}
        return {"vars": run.scope.vars, "steps": trace.roots}

    async def _retryable(self, record: RunRecord) -> str | None:
        run = await self._fold(record, None)
        if run is None:
            return "the flow's version or the event is gone"
        if run.retry_point is None:
            return (
                "the run failed in an expression, and would fail again the same; correct the flow and start a new run"
            )
        return None

    def _flow_items(self) -> list[dict[str, Any]]:
        items = [self._item(plan) for _, plan in sorted(self.catalog.flows.plans.items())]
        loaded = {plan.file for plan in self.catalog.flows.plans.values()}
        broken: dict[str, list[str]] = {}
        for problem in self.catalog.problems:
            if problem.severity == "error" and problem.file not in loaded:
                broken.setdefault(problem.file, []).append(str(problem))
        items += [
            {"name": None, "file": file, "version": None, "enabled": False, "triggers": [], "problems": found}
            for file, found in broken.items()
        ]
        return items

    def _item(self, plan: Any) -> dict[str, Any]:
        return {
            "name": plan.flow,
            "file": plan.file,
            "version": plan.version,
            "description": plan.description,
            "labels": dict(plan.labels),
            "enabled": plan.enabled,
            "triggers": [{"name": t.name, "kind": t.kind, "source": t.source} for t in plan.triggers],
            "problems": [str(problem) for problem in self.catalog.problems if problem.file == plan.file],
        }

    def _flow_item(self, name: str) -> dict[str, Any] | None:
        plan = self.catalog.flows.plans.get(name)
        return None if plan is None else {**self._item(plan), "source": plan.source}

    def _trigger_items(self) -> list[dict[str, Any]]:
        found = []
        for source in self.sources.active.values():
            item: dict[str, Any] = {
                "source": source.name,
                "kind": source.kind,
                "state": source.state,
                "error": source.error,
            }
            item["flows"] = sorted(source.flows)
            item["options"] = _options(source.options)
            found.append(item)
        for plan, trigger in self.catalog.flows.triggers():
            if trigger.kind in ("event", "manual"):
                item = {"source": trigger.source, "kind": trigger.kind, "state": "listening", "error": None}
                found.append({**item, "flows": [plan.flow], "options": _options(trigger.options)})
        return found

    async def _ready(self) -> tuple[bool, dict[str, Any]]:
        health = self.store.health()
        ready = self.started.is_set() and health is None and not self._stop.is_set()
        sources = {
            source.name: source.error or source.state
            for source in self.sources.active.values()
            if source.state != "listening"
        }
        return ready, {
            "status": "ready" if ready else "not ready",
            "version": __version__,
            "store": health or "ok",
            "flows": len(self.catalog.flows.plans),
            "flow_problems": sum(1 for problem in self.catalog.problems if problem.severity == "error"),
            "active_runs": self.pool.active,
            "sources": sources,
        }

    async def _reload(self) -> None:
        await self.catalog.load()


def _options(options: Any) -> Any:
    return msgspec.to_builtins(options)


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
                        await daemon.catalog.load()
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
        anyio.run(serve, daemon, backend="asyncio", backend_options=options)
    except BaseExceptionGroup as errors:
        try:
            _unwrap(errors)
        except (ConfigError, StoreFailed) as error:
            return _fail(error)
        return 1
    except (ConfigError, StoreFailed) as error:
        return _fail(error)
    return 0


def _fail(error: Exception) -> int:
    sys.stderr.write(f"reactor: {error}\n")
    return 1
