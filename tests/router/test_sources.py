"""What one listening of a source leaves to the next, and the order of events that have to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from reactor.clock import SystemClock, SystemIds
from reactor.contracts.errors import NotConnected, Overloaded
from reactor.contracts.event import Event
from reactor.contracts.store import Acceptance, Accepted
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.sources import Sources
from reactor.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Clock(SystemClock):
    """Pauses cost no time."""

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


class SlowStore(MemoryStore):
    """Accepts when it is told to; `refusals` of the next ones are answered with Overloaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open_gate = anyio.Event()
        self.open_gate.set()
        self.asked = anyio.Event()
        self.refusals = 0
        self.taken: list[Any] = []

    async def accept(self, acceptance: Acceptance) -> Accepted:
        self.asked.set()
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("the store is behind")
        await self.open_gate.wait()
        self.taken.append(acceptance.event.event.data)
        return await super().accept(acceptance)


class Facts:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def observe(self, fact: str, **fields: Any) -> None:
        self.seen.append(fact)


@asynccontextmanager
async def listening(store: MemoryStore, listen: Callable[[Any], Awaitable[None]]) -> AsyncIterator[Sources]:
    """A daemon's sources with one of them, whose kind is `listen`."""
    clock, facts = Clock(), Facts()
    engine: Any = SimpleNamespace(has_room=lambda: True)
    inbox = Inbox(store, None, clock, SystemIds(), lambda: FlowSet([]), engine, "one", {}, facts)  # type: ignore[arg-type]
    kinds = {"own": lambda options: SimpleNamespace(listen=listen)}
    trigger = SimpleNamespace(kind="own", source="own:1", options=None)
    plan = SimpleNamespace(flow="flow", folder="/", enabled=True, responds=False)
    flows: Any = SimpleNamespace(triggers=lambda: [(plan, trigger)])
    async with anyio.create_task_group() as group:
        sources = Sources(group, inbox, store, kinds, clock, None, lambda name: "", facts)  # type: ignore[arg-type]
        await sources.update(flows)
        yield sources
        await sources.stop()


async def test_the_next_listening_sees_what_the_last_one_offered() -> None:
    """A broker that comes back sends the unacknowledged again: what is on its way to the disk must be known by then."""
    store = SlowStore()
    store.open_gate = anyio.Event()
    seen: list[dict[str, Any]] = []
    done = anyio.Event()

    async def listen(ctx: Any) -> None:
        seen.append(await ctx.cursor())
        if len(seen) == 1:
            await ctx.offer(Event(type="x", source="s", data=1), [ctx.at("mid:1", 1)])
            raise NotConnected("the broker is gone")
        done.set()
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with listening(store, listen) as sources:
            await store.asked.wait()
            await anyio.wait_all_tasks_blocked()
            assert len(seen) == 1
            store.open_gate.set()
            await done.wait()
            assert sources.active["own:1"].failures == 1
    assert seen == [{}, {"mid:1": 1}] and store.taken == [1]


@pytest.mark.parametrize("refusals", [1, 3])
async def test_events_keep_their_order_while_the_store_is_behind(refusals: int) -> None:
    """An event with a cursor that passes one without room would have it lost after a crash."""
    store = SlowStore()
    store.refusals = refusals
    done = anyio.Event()

    async def listen(ctx: Any) -> None:
        receipts = [await ctx.offer(Event(type="x", source="s", data=n), [ctx.at("n", n)]) for n in range(20)]
        for receipt in receipts:
            await receipt
        done.set()
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with listening(store, listen):
            await done.wait()
    assert store.taken == list(range(20))


async def test_a_source_that_stops_gives_up_what_waits() -> None:
    store = SlowStore()
    store.refusals = 1_000_000
    done = anyio.Event()

    async def listen(ctx: Any) -> None:
        for n in range(3):
            await ctx.offer(Event(type="x", source="s", data=n))
        done.set()
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with listening(store, listen):
            await done.wait()
    assert store.taken == [] and store.refusals < 1_000_000


async def test_a_source_that_is_taken_back_before_it_began_never_listens() -> None:
    """Two changes of the flows in one turn of the loop: the first one's source has no task yet that could be stopped."""
    begun: list[Any] = []

    async def listen(context: Any) -> None:
        begun.append(context)
        await anyio.sleep_forever()

    async with listening(SlowStore(), listen) as sources:
        with anyio.fail_after(10):
            await sources.stop()
            await anyio.wait_all_tasks_blocked()
        assert begun == [] and not sources.active


async def test_an_event_whose_source_is_stopped_while_it_is_stored_is_settled() -> None:
    """Its runs are claimed by this daemon in the same commit: were they not taken up here, they would hang until the
    next start."""
    store = SlowStore()
    store.open_gate = anyio.Event()

    async def listen(context: Any) -> None:
        await context.emit(Event(type="own.event", source="own", data=1, key="1"))

    async with listening(store, listen) as sources:
        with anyio.fail_after(10):
            await store.asked.wait()
            async with anyio.create_task_group() as group:
                group.start_soon(sources.stop)
                await anyio.wait_all_tasks_blocked()
                assert store.taken == []
                store.open_gate.set()
        facts: Any = sources.observer
        assert store.taken == [1] and facts.seen.count("event.accepted") == 1
