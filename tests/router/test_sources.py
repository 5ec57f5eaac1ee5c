"""What one listening of a source leaves to the next, and the order of events that have to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from reactor.contracts.errors import NotConnected, NotReady, Overloaded, StoreFailed
from reactor.contracts.event import Event
from reactor.contracts.facts import Fact
from reactor.contracts.store import Acceptance, Accepted
from reactor.kit.clock import SystemClock, SystemIds
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.router.sources import Sources
from reactor.store.memory.store import MemoryStore

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
        self.told: list[tuple[str, dict[str, Any]]] = []

    def observe(self, fact: Fact) -> None:
        self.seen.append(fact.NAME)
        self.told.append((fact.NAME, fact.shown()))


@asynccontextmanager
async def listening(store: MemoryStore, listen: Callable[[Any], Awaitable[None]]) -> AsyncIterator[Sources]:
    """A daemon's sources with one of them, whose kind is `listen`."""
    clock, facts = Clock(), Facts()
    engine: Any = SimpleNamespace(has_room=lambda: True)
    preparer = Preparer(None, SystemIds(), lambda: FlowSet([]), engine, "one", {})  # type: ignore[arg-type]
    inbox = Inbox(store, preparer, Settlement(engine, clock, facts), clock, facts)  # type: ignore[arg-type]
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


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (NotConnected("nats: the connection is lost"), "disconnected", "nats: the connection is lost"),
        (NotReady("nats: there is no stream NOSUCH"), "not ready", "nats: there is no stream NOSUCH"),
        (ValueError("year 0 is out of range"), "crashed", "ValueError: year 0 is out of range (while reading orders)"),
        (KeyError("k"), "crashed", "KeyError: 'k' (while reading orders)"),
        (RuntimeError(), "crashed", "RuntimeError (while reading orders)"),
    ],
)
@pytest.mark.parametrize("groups", [0, 1, 3])
async def test_a_source_says_the_words_of_the_fault(error: Exception, state: str, said: str, groups: int) -> None:
    """However many task groups it came out of."""
    fault: Exception = error
    for _ in range(groups):
        fault = ExceptionGroup("unhandled errors in a TaskGroup", [fault])

    async def listen(ctx: Any) -> None:
        ctx.reading("orders")
        raise fault

    async with listening(MemoryStore(), listen) as sources:
        source = sources.active["own:1"]
        await until(lambda: source.failures > 0)
        assert (source.state, source.error) == (state, said)
        facts: Any = sources.observer
        assert ("source.crashed" in facts.seen) == (state == "crashed")


async def test_a_lost_connection_counts_before_what_follows_from_it() -> None:
    async def listen(ctx: Any) -> None:
        raise ExceptionGroup("several", [KeyError("x"), NotReady("no stream"), NotConnected("lost")])

    async with listening(MemoryStore(), listen) as sources:
        source = sources.active["own:1"]
        await until(lambda: source.failures > 0)
        assert (source.state, source.error) == ("disconnected", "lost")


async def test_a_failed_store_in_a_group_ends_the_daemon() -> None:
    async def listen(ctx: Any) -> None:
        raise ExceptionGroup("several", [KeyError("x"), ExceptionGroup("inner", [StoreFailed("the disk")])])

    with pytest.raises(ExceptionGroup) as caught:
        async with listening(MemoryStore(), listen):
            await anyio.sleep_forever()
    assert caught.group_contains(StoreFailed)


@pytest.mark.parametrize("ready", [False, True], ids=["before it listens", "while it listens"])
async def test_failing_is_a_fact_after_five_crashes_in_a_row(ready: bool) -> None:
    lives = 0
    hold = anyio.Event()

    async def listen(ctx: Any) -> None:
        nonlocal lives
        lives += 1
        if ready and lives <= 8:
            await ctx.ready()
        if lives > 8:
            await ctx.ready()
            await hold.wait()
        raise ValueError(f"number {lives}")

    async with listening(MemoryStore(), listen) as sources:
        source, facts = sources.active["own:1"], sources.observer
        await until(lambda: lives == 9)
        told = [fields for fact, fields in facts.told if fact == "source.failing"]  # type: ignore[attr-defined]
        assert told == [{"source": "own:1", "count": 5, "error": "ValueError: number 5"}], "once, with the count"
        await until(lambda: source.state == "listening")
        assert source.error is None and (ready or source.failures == 0), "cleared by listening again"


async def test_one_that_listens_long_enough_is_well_again() -> None:
    """Though each of its lives ended with a fault."""
    lives = 0
    moment = 0.0

    async def listen(ctx: Any) -> None:
        nonlocal lives, moment
        lives += 1
        await ctx.ready()
        moment += 3600
        if lives > 8:
            await anyio.sleep_forever()
        raise NotConnected("lost")

    store = MemoryStore()
    async with listening(store, listen) as sources:
        sources.clock.monotonic = lambda: moment  # type: ignore[method-assign]
        await until(lambda: lives > 8)
        assert sources.active["own:1"].failures <= 1


def nested(depth: int) -> Any:
    data: Any = 1
    for _ in range(depth):
        data = [data]
    return data


class Encoding(MemoryStore):
    """Writes what it accepts, as the store on a disk does."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Event] = []

    async def accept(self, acceptance: Acceptance) -> Accepted:
        msgspec.json.encode(acceptance.event.event)
        self.kept.append(acceptance.event.event)
        return await super().accept(acceptance)


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        (Event(type="x", source="s", data={"a": "\ud83d"}, key="1"), {"a": "\\ud83d"}),
        (Event(type="x", source="s\udcff", data=1, key="\udcff"), 1),
        (Event(type="x", source="s", data=1, fields={"topic": "\udcff"}), 1),
        (Event(type="x", source="s", data=nested(5000), key="1"), None),
    ],
)
async def test_an_event_that_cannot_be_stored_is_a_dead_letter(odd: Event, kept: Any) -> None:
    """And the next one goes on."""
    store = Encoding()
    done = anyio.Event()

    async def listen(ctx: Any) -> None:
        await (await ctx.offer(odd, [ctx.at("place", 1)]))
        await ctx.emit(Event(type="x", source="s", data="next"))
        done.set()
        await anyio.sleep_forever()

    async with listening(store, listen) as sources:
        with anyio.fail_after(10):
            await done.wait()
        assert sources.active["own:1"].failures == 0
    letter, following = store.kept
    assert letter.data == kept and "cannot be stored" in (letter.invalid or "") and following.invalid is None
