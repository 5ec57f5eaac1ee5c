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

from reactor.contracts.errors import NotConnected, NotReady, Overloaded, Refused, StoreFailed
from reactor.contracts.event import Event
from reactor.contracts.facts import Fact
from reactor.contracts.plan import Trigger
from reactor.contracts.run import Status
from reactor.contracts.store import Acceptance, Accepted, Claim, Effects
from reactor.kit.clock import SystemClock, SystemIds
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.router.sources import Sources
from reactor.store.memory.store import MemoryStore
from reactor.testing.store_parts import OWNER, accept, change, event, live, message, start
from tests.waiting import soon

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
async def listening(
    store: MemoryStore, listen: Callable[[Any], Awaitable[None]], enabled: bool = True, **kind: Any
) -> AsyncIterator[Sources]:
    """A daemon's sources with one of them, whose kind is `listen`; `kind` is what it says of itself."""
    clock, facts = Clock(), Facts()
    engine: Any = SimpleNamespace(has_room=lambda: True)
    preparer = Preparer(None, SystemIds(), lambda: FlowSet([]), engine, "one", {})  # type: ignore[arg-type]
    inbox = Inbox(store, preparer, Settlement(engine, clock, facts), clock, facts)
    kinds = {"own": lambda options: SimpleNamespace(listen=listen)}
    trigger = Trigger(kind="own", name="own", options=None, source="own:1", **kind)
    plan = SimpleNamespace(flow="flow", folder="/", enabled=enabled, responds=False)
    flows: Any = SimpleNamespace(triggers=lambda: [(plan, trigger)])
    async with anyio.create_task_group() as group:
        sources = Sources(group, inbox, store, kinds, clock, None, lambda name: "", facts, engine)  # type: ignore[arg-type]
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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("refusals", [1, 3])
async def test_events_keep_their_order_while_the_store_is_behind(refusals: int) -> None:
    """An event with a cursor that passes one without room would have it lost after a crash. The order is that in which
    asyncio begins tasks; trio begins them in any."""
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
        await soon(lambda: source.failures > 0, "nothing failed")
        assert (source.state, source.error) == (state, said)
        facts: Any = sources.observer
        assert ("source.crashed" in facts.seen) == (state == "crashed")


async def test_a_lost_connection_counts_before_what_follows_from_it() -> None:
    async def listen(ctx: Any) -> None:
        raise ExceptionGroup("several", [KeyError("x"), NotReady("no stream"), NotConnected("lost")])

    async with listening(MemoryStore(), listen) as sources:
        source = sources.active["own:1"]
        await soon(lambda: source.failures > 0, "nothing failed")
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
        await soon(lambda: lives == 9, "it was not begun anew")
        told = [fields for fact, fields in facts.told if fact == "source.failing"]  # type: ignore[attr-defined]
        assert told == [{"source": "own:1", "count": 5, "error": "ValueError: number 5"}], "once, with the count"
        await soon(lambda: source.state == "listening", "it does not listen")
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
        await soon(lambda: lives > 8, "it was not begun anew")
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


@pytest.mark.parametrize(
    ("enabled", "kind", "listens"),
    [
        (True, {}, True), (False, {}, True), (True, {"takes_messages": True}, True), (False, {"takes_messages": True}, False),
        (True, {"passive": True}, False),
    ],
)  # fmt: skip
async def test_who_listens(enabled: bool, kind: dict[str, bool], listens: bool) -> None:
    """A disabled flow goes on reading what is its own, and leaves to others what they would have."""

    async def listen(ctx: Any) -> None:
        await anyio.sleep_forever()

    async with listening(MemoryStore(), listen, enabled, **kind) as sources:
        assert bool(sources.active) is listens


async def sent(store: MemoryStore, answers: bool) -> list[str]:
    """What the source of one event is told of why it was not accepted."""
    told: list[str] = []
    done = anyio.Event()

    async def listen(ctx: Any) -> None:
        try:
            await ctx.emit(Event(type="x", source="s", data=1))
        except (Overloaded, Refused) as error:
            told.append(str(error))
        done.set()
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with listening(store, listen, answers_sender=answers):
            await done.wait()
    return told


@pytest.mark.parametrize("answers", [True, False])
async def test_only_a_sender_who_waits_is_told_that_there_is_no_room(answers: bool) -> None:
    store = SlowStore()
    store.refusals = 1
    told = await sent(store, answers)
    assert (told, store.taken) == ((["the store is behind"], []) if answers else ([], [1]))


class Strict(MemoryStore):
    """Takes dead letters alone."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[str] = []

    async def accept(self, acceptance: Acceptance) -> Accepted:
        if acceptance.event.invalid is None:
            raise Refused(413, "too large")
        self.letters.append(acceptance.event.invalid)
        return await super().accept(acceptance)


@pytest.mark.parametrize("answers", [True, False])
async def test_what_is_refused_is_kept_unless_its_sender_is_told(answers: bool) -> None:
    store = Strict()
    told = await sent(store, answers)
    assert (told, store.letters) == ((["too large"], []) if answers else ([], ["too large"]))


@pytest.mark.parametrize("retires", [True, False])
async def test_only_a_kind_that_leaves_something_is_asked_for_it(retires: bool) -> None:
    given_back: list[Any] = []

    async def listen(ctx: Any) -> None:
        await anyio.sleep_forever()

    async def retire(ctx: Any) -> None:
        given_back.append(ctx)

    with anyio.fail_after(10):
        async with listening(MemoryStore(), listen, retires=retires) as sources:
            kinds: Any = {"own": lambda options: SimpleNamespace(listen=listen, retire=retire)}
            sources.kinds = kinds
            await sources.update(FlowSet([]))
            await anyio.wait_all_tasks_blocked()
    assert bool(given_back) is retires


@pytest.mark.parametrize("told", ["pushed", "ended"])
async def test_a_queue_is_looked_at_when_the_store_tells(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a push, or of the end of a run, in whatever daemon."""
    monkeypatch.setattr("reactor.router.listening.QUEUE_LOOK", 1e9)
    store = MemoryStore()
    found: list[str] = []

    async def listen(ctx: Any) -> None:
        found.extend(message.id for message in await ctx.take("mails", 1))
        await anyio.sleep_forever()

    accepted = await accept(store, start("run_1", begun=live()), id="evt_1")
    claim = Claim("run_1", OWNER, accepted.outcomes[0].token)
    if told == "ended":
        await store.push([message("m0")])
        given = Acceptance(event=event("evt_2"), starts=[start("run_2", begun=live())], taken="m0", owner=OWNER)
        (outcome,) = (await store.accept(given)).outcomes
        await store.push([message("m1")])
        claim = Claim("run_2", OWNER, outcome.token)
    with anyio.fail_after(10):
        async with listening(store, listen):
            await anyio.wait_all_tasks_blocked()
            assert found == []
            if told == "ended":
                await store.append(claim, 0, Effects(change=change(Status.succeeded)))
            else:
                await store.push([message("m1")])
            await anyio.wait_all_tasks_blocked()
    assert found == ["m1"]


async def test_what_a_library_makes_of_being_cancelled_is_no_fault() -> None:
    async def listen(ctx: Any) -> None:
        await ctx.ready()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise ValueError("Cancelled during execution") from None

    with anyio.fail_after(10):
        async with listening(MemoryStore(), listen) as sources:
            await sources.active["own:1"].ready.wait()
            await sources.stop()
    facts = sources.observer
    assert isinstance(facts, Facts) and facts.seen == ["source.listening"]
