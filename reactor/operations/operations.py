"""What the routes ask of the daemon: starting by hand, why, step trees, what is loaded, readiness."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio
import msgspec

from flows.context import Kinds
from plugins.host.host import Host
from reactor import __version__
from reactor.catalog.catalog import Catalog
from reactor.config import Config
from reactor.contracts.clock import Clock
from reactor.contracts.errors import Diverged, Refused, StepFailed
from reactor.contracts.event import Event, StoredEvent, Verdict, rfc3339
from reactor.contracts.facts import QueuePushed
from reactor.contracts.plan import Plan
from reactor.contracts.run import RunRecord, Status
from reactor.contracts.store import Store
from reactor.contracts.trigger import Receipt
from reactor.engine import machine
from reactor.engine.pool import Pool
from reactor.engine.step_tree import Trace
from reactor.kinds.reference import action_item, action_items
from reactor.kit.urls import plain, without_credentials
from reactor.lending.action_memory import ActionMemory
from reactor.lending.connections import Connections
from reactor.observe.feed import Feed
from reactor.observe.metrics import Gauge, Metrics
from reactor.router.explain import explain
from reactor.router.inbox import Inbox
from reactor.router.prepare import Preparer
from reactor.router.sources import Sources


class Operations:
    """The part of the daemon that answers people. The other part (app.py) fills these in."""

    config: Config
    store: Store
    catalog: Catalog
    inbox: Inbox
    preparer: Preparer
    kinds: Kinds
    clock: Clock
    sources: Sources
    connections: Connections
    plugins: Host
    pool: Pool
    metrics: Metrics
    feed: Feed
    observer: Any
    started: anyio.Event
    stopping: anyio.Event

    def _services(self) -> Any:
        from reactor.server.services import Services

        return Services(
            store=self.store,
            version=__version__,
            emit=lambda origin, event, wait: self.inbox.emit(origin, event, wait),
            start=self._start,
            why=self._why,
            tree=self._tree,
            retryable=self._retryable,
            flows=self._flow_items,
            flow=self._flow_item,
            triggers=self._trigger_items,
            connections=lambda: self.connections.items(),
            push=self._push,
            metrics=self.metrics.text,
            stats=self._stats,
            feed=self.feed,
            webhooks=ActionMemory(self.store, "webhook.send"),
            plugins=self._plugin_items,
            check_connection=lambda name: self.connections.check(name),
            actions=lambda: action_items(self.kinds.actions),
            action=lambda name: action_item(self.kinds.actions, name),
            ready=self._ready,
            configuration=self._configuration,
            reload=self._reload,
        )

    async def _start(self, flow: str, inputs: Any, key: str | None, wait: float | None) -> Receipt:
        plan = self.catalog.flows.plans[flow]
        if not plan.enabled:
            raise Refused(409, "Disabled", f"the flow {flow} has `enabled: false`")
        if plan.inputs is not None:
            problems = plan.inputs.problems(inputs)
            if problems:
                raise Refused(422, "The inputs do not fit", f"{flow} cannot start: {_inputs_said(problems)}")
        event = Event(type="manual", source=f"/flows/{flow}", data=inputs, key=key)
        try:
            prepared = self.preparer.start(plan, event, "manual", self.clock.now())
        except StepFailed as error:
            raise Refused(422, "The inputs do not fit", str(error)) from None
        return await self.inbox.commit(prepared, wait)

    async def _push(self, queue: str, data: Any, key: str | None) -> str:
        message = self.preparer.message(queue, data, None, self.clock.now())
        if key is not None:
            message.id = "msg_" + hashlib.sha256(f"{queue}\0{key}".encode("utf-8", "replace")).hexdigest()[:32]
        await self.store.push([message])
        self.observer.observe(QueuePushed(queue=queue, message_id=message.id))
        return message.id

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
                record.bounds,
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
        by_file: dict[str, list[str]] = {}
        broken: set[str] = set()
        for problem in self.catalog.problems:
            by_file.setdefault(problem.file, []).append(str(problem))
            if problem.severity == "error":
                broken.add(problem.file)
        plans = self.catalog.flows.plans
        items = [self._item(plan, by_file.get(plan.file, [])) for _, plan in sorted(plans.items())]
        items += [
            {
                "name": None, "file": file, "version": None, "enabled": False, "state": "problems", "triggers": [],
                "problems": by_file[file],
            }
            for file in sorted(broken - {plan.file for plan in plans.values()})
        ]  # fmt: skip
        return items

    def _item(self, plan: Plan, problems: list[str]) -> dict[str, Any]:
        """`state` is refused when the file has errors and an older version of the flow runs."""
        refused = plan.flow in self.catalog.refused
        return {
            "name": plan.flow,
            "file": plan.file,
            "version": plan.version,
            "description": plan.description,
            "labels": dict(plan.labels),
            "enabled": plan.enabled,
            "state": "refused" if refused else "enabled" if plan.enabled else "disabled",
            "triggers": [{"name": t.name, "kind": t.kind, "source": t.source} for t in plan.triggers],
            "problems": problems,
        }

    def _flow_item(self, name: str) -> dict[str, Any] | None:
        plan = self.catalog.flows.plans.get(name)
        if plan is None:
            return None
        problems = [str(problem) for problem in self.catalog.problems if problem.file == plan.file]
        return {**self._item(plan, problems), "source": without_credentials(plan.source)}

    def _trigger_items(self) -> list[dict[str, Any]]:
        found = []
        for source in self.sources.active.values():
            item: dict[str, Any] = {
                "source": source.name,
                "kind": source.kind,
                "state": source.state,
                "error": source.error,
                "warning": source.warning,
                "failures": source.failures,
            }
            item["flows"] = sorted(source.flows)
            item["options"] = _options(source.options)
            found.append(item)
        for plan, trigger in self.catalog.flows.triggers():
            if trigger.kind in ("event", "manual"):
                item = {
                    "source": trigger.source,
                    "kind": trigger.kind,
                    "state": "listening",
                    "error": None,
                    "warning": None,
                    "failures": 0,
                }
                found.append({**item, "flows": [plan.flow], "options": _options(trigger.options)})
        return found

    def _plugin_items(self) -> list[dict[str, Any]]:
        return [
            {
                "name": plugin.name, "version": plugin.manifest.version, "summary": plugin.manifest.summary,
                "protocol": plugin.manifest.protocol, "state": plugin.state, "error": plugin.error,
                "restarts": plugin.restarts, "calls": plugin.calls, "folder": str(plugin.folder), "hash": plugin.hash,
                "actions": [f"{plugin.name}.{name}" for name in plugin.manifest.actions],
                "triggers": [f"{plugin.name}.{name}" for name in plugin.manifest.triggers],
            }
            for plugin in self.plugins.plugins.values()
        ]  # fmt: skip

    async def _ready(self) -> tuple[bool, dict[str, Any]]:
        health = self.store.health()
        ready = self.started.is_set() and health is None and not self.stopping.is_set()
        sources = {
            source.name: source.error or source.warning or source.state
            for source in self.sources.active.values()
            if source.state != "listening" or source.warning
        }
        return ready, {
            "status": "ready" if ready else "not ready",
            "version": __version__,
            "store": health or "ok",
            "flows": len(self.catalog.flows.plans),
            "flow_problems": sum(1 for problem in self.catalog.problems if problem.severity == "error"),
            "refused": self.catalog.refused,
            "active_runs": self.pool.active,
            "unreadable": self.store.unreadable(),
            "sources": sources,
            "connections": {
                item["name"]: item["error"] for item in self.connections.items() if item["state"] == "disconnected"
            },
        }

    async def _gauges(self) -> list[Gauge]:
        """Numbers that are read when they are asked for."""
        queues = await self.store.queues()
        counts = await self.store.counts()
        oldest = min((q.oldest for q in queues if q.oldest is not None), default=None)
        active = self.sources.active.values()
        alive = [((status.value,), float(counts.get(status.value, 0))) for status in Status if not status.ended]
        kinds = [((source.name, source.kind), float(source.state == "listening")) for source in active]
        failures = [((source.name, source.kind), float(source.failures)) for source in active]
        problems = [((s.name, s.kind, s.state, (s.error or "")[:200]), 1.0) for s in active if s.state != "listening"]
        lags = [((source.name, source.kind), float(source.lag)) for source in active if source.lag is not None]
        return [
            Gauge("reactor_info", "The version.", ("version",), [((__version__,), 1.0)]),
            Gauge("reactor_runs_alive", "Runs that have not ended, by status.", ("status",), alive),
            Gauge("reactor_runs_in_memory", "Runs that this process works on.", (), [((), float(self.pool.active))]),
            Gauge("reactor_flows", "Loaded flows.", (), [((), float(len(self.catalog.flows.plans)))]),
            Gauge(
                "reactor_flow_problems", "Errors of flow files that were refused.", (),
                [((), float(sum(problem.severity == "error" for problem in self.catalog.problems)))],
            ),
            Gauge("reactor_source_up", "1 while a source listens.", ("source", "kind"), kinds),
            Gauge("reactor_source_failures", "Failures in a row.", ("source", "kind"), failures),
            Gauge(
                "reactor_source_problem", "Why a source does not listen.",
                ("source", "kind", "state", "reason"), problems,
            ),
            Gauge("reactor_source_lag", "Messages a source is behind, where it can tell.", ("source", "kind"), lags),
            Gauge(
                "reactor_queue_waiting", "Messages of a durable queue that wait.", ("queue",),
                [((q.name,), float(q.waiting)) for q in queues],
            ),
            Gauge(
                "reactor_queue_active", "Messages of a durable queue whose runs have not ended.", ("queue",),
                [((q.name,), float(q.active)) for q in queues],
            ),
            Gauge(
                "reactor_queue_oldest_seconds", "Age of the oldest message that waits in any queue.", (),
                [((), 0.0 if oldest is None else max(self.clock.now() - oldest, 0.0))],
            ),
            Gauge("reactor_store_bytes", "The database and its log on disk.", (), [((), float(self.store.size()))]),
            Gauge(
                "reactor_store_unreadable", "Rows that were found that cannot be read.", (),
                [((), float(self.store.unreadable()))],
            ),
            Gauge("reactor_store_healthy", "1 while it accepts.", (), [((), float(self.store.health() is None))]),
            Gauge("reactor_stream_clients", "Clients that follow the stream.", (), [((), float(self.feed.clients))]),
        ]  # fmt: skip

    async def _stats(self) -> dict[str, Any]:
        ready, details = await self._ready()
        queues = await self.store.queues()
        commits = self.store.commit_times()
        return {
            "version": __version__,
            "ready": ready,
            "at": rfc3339(self.clock.now()),
            **self.metrics.summary(),
            "alive": {name: n for name, n in (await self.store.counts()).items() if name not in ("events", "runs")},
            "in_memory": self.pool.active,
            "queues": [{"name": q.name, "waiting": q.waiting, "active": q.active} for q in queues],
            "sources": details["sources"],
            "connections": details["connections"],
            "store": {"health": details["store"], "bytes": self.store.size(),
                      "commit_p99": commits.quantile(0.99) if commits is not None else None},
        }  # fmt: skip

    def _configuration(self) -> dict[str, Any]:
        """Without secrets, also those in URLs."""
        options = {
            name: {"value": "***" if isinstance(value, str) and "@" in value else value, "origin": origin}
            for name, (value, origin) in self.config.origins.items()
        }
        return {"directory": str(Path.cwd()), "options": options}

    async def _reload(self) -> None:
        await self.catalog.refresh()


def _options(options: Any) -> Any:
    return plain(msgspec.to_builtins(options))


def _inputs_said(problems: list[str]) -> str:
    return "; ".join(
        f"the inputs {problem.removeprefix('the value ')}" if problem.startswith("the value ") else problem
        for problem in problems
    )
