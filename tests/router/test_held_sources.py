"""Sources that one daemon at a time may read, with two daemons on one store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from reactor.contracts.errors import StaleClaim
from reactor.contracts.facts import Fact
from reactor.contracts.lease import Held, Lease
from reactor.contracts.plan import Trigger
from reactor.kit.clock import SystemClock
from reactor.router.sources import Sources
from reactor.store.memory.store import MemoryStore

pytestmark = pytest.mark.anyio
NAME = "mqtt:1"


class Clock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


class Daemon:
    """Sources with a lease of their own, and one source that they may read alone."""

    def __init__(self, group: Any, store: MemoryStore, owner: str) -> None:
        self.store, self.owner = store, owner
        self.lease: Lease | None = None
        self.now = 0.0
        self.reads = 0
        self.names: list[str] = []
        self.retired: list[str] = []
        kinds: Any = {"own": self.kind()}
        inbox: Any = None
        self.sources = Sources(
            group, inbox, store, kinds, Clock(), inbox, lambda name: "", self, self, None, f"home-of-{owner}", 1
        )

    def observe(self, fact: Fact) -> None:
        return None

    async def hold(self, source: str, name: str) -> Held | None:
        with contextlib.suppress(StaleClaim):
            return None if self.lease is None else await self.store.hold(source, self.lease, self.now, name)
        return None

    async def let_go(self, held: Held) -> None:
        await self.store.let_go(held)

    async def listen(self, ctx: Any) -> None:
        self.reads += 1
        self.names.append(ctx.identity())
        await ctx.ready()
        try:
            await anyio.sleep_forever()
        finally:
            self.reads -= 1

    async def retire(self, ctx: Any) -> None:
        self.retired.append(ctx.identity())

    async def begin(self, seconds: float = 1e12) -> None:
        self.lease = await self.store.join(self.owner, 0.0, seconds)
        await self.update(NAME)

    async def update(self, *names: str) -> None:
        plan = SimpleNamespace(flow="f", folder="/", enabled=True, responds=False)
        triggers = [
            (plan, Trigger(kind="own", name="own", options=None, source=name, one_reader=True, retires=True))
            for name in names
        ]
        flows: Any = SimpleNamespace(triggers=lambda: triggers)
        await self.sources.update(flows)

    def kind(self) -> Any:
        """The class of a kind, whose listening and retiring are this daemon's."""
        methods = {
            "__init__": lambda kind, options: None,
            "listen": lambda kind, ctx: self.listen(ctx),
            "retire": lambda kind, ctx: self.retire(ctx),
        }
        return type("Reader", (), {**methods, "one_reader": True, "connection_kinds": ()})


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_a_source_is_read_by_one_daemon_and_keeps_its_name() -> None:
    store = MemoryStore()
    async with anyio.create_task_group() as group:
        a, b = Daemon(group, store, "a"), Daemon(group, store, "b")
        await a.begin()
        await until(lambda: a.reads == 1)
        await b.begin()
        await until(lambda: b.sources.active[NAME].state == "waiting")
        assert (a.reads, b.reads) == (1, 0)
        await a.sources.stop()
        await until(lambda: b.reads == 1)
        assert a.names == b.names == [f"home-of-a/{NAME}"]
        await b.sources.stop()


async def test_what_another_daemon_has_taken_over_is_not_read_any_more() -> None:
    store = MemoryStore()
    async with anyio.create_task_group() as group:
        a, b = Daemon(group, store, "a"), Daemon(group, store, "b")
        await a.begin(100.0)
        await until(lambda: a.reads == 1)
        b.now = 100.0
        await b.begin()
        await until(lambda: b.reads == 1)
        await until(lambda: a.sources.active[NAME].state == "waiting")
        assert (a.reads, b.reads) == (0, 1)
        await a.sources.stop()
        await b.sources.stop()


async def test_a_source_that_nobody_names_is_given_back_under_its_name() -> None:
    store = MemoryStore()
    async with anyio.create_task_group() as group:
        a, b = Daemon(group, store, "a"), Daemon(group, store, "b")
        await a.begin()
        await until(lambda: a.reads == 1)
        await a.sources.stop()
        await b.begin()
        await until(lambda: b.reads == 1)
        await b.update()
        await until(lambda: b.retired == [f"home-of-a/{NAME}"])
        await a.update(NAME)
        await until(lambda: a.reads == 1)
        await a.sources.stop()
