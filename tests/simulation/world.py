"""A whole daemon (router, engine, memory store) on trio's virtual clock, crashed and restarted at random.

What is random comes from the seed alone, so a seed is a test case. After each append and at the end the invariants
of the engine are asserted.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import trio
import trio.testing

from reactor.contracts.errors import StepFailed
from reactor.contracts.event import Event
from reactor.contracts.facts import ActionCrashed, Fact, RunBroken, RunPaused
from reactor.contracts.journal import AnyEntry, Child, Ended, Shifted, Snapshot, Started
from reactor.contracts.plan import BOUNDS, Plan
from reactor.contracts.run import Status
from reactor.contracts.signals import Resume, signal_of
from reactor.contracts.trigger import Receipt
from reactor.engine import machine, snapshot
from reactor.engine.entries import due_entry, next_due
from reactor.engine.parked import BOUND, Parked
from reactor.engine.phases import StepPhase
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.engine.state import Run
from reactor.router.inbox import Inbox
from reactor.router.match import FlowSet
from reactor.router.prepare import Preparer
from reactor.router.settle import Settlement
from reactor.store.memory.store import MemoryStore
from reactor.testing.replay import exactly, fingerprint
from tests.flows_help import documents
from tests.simulation.generate import flows

BASE = 1_700_000_000.0
EVENTS = 8
CHAOS = 90.0
"""Virtual seconds with crashes; afterwards everything must come to rest."""
REST = 4000.0
LONGEST_WAIT = 301.0
"""What `finally` may take is the longest timer there is."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Crashed(BaseException):
    """The power is cut: nothing holds it up, no shield either."""


class SimClock:
    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return BASE + trio.current_time() + self.offset

    def monotonic(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(max(seconds, 0.0))


class SimIds:
    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count:032x}"


class SimStore:
    """The store as the daemon sees it: a crash may come before a commit, or after it with the reply lost."""

    def __init__(self, inner: MemoryStore, world: World) -> None:
        self._inner = inner
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in ("accept", "append", "claim", "signal", "signals", "next_wake", "release"):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            await trio.lowlevel.checkpoint()
            await self._world.maybe_crash(f"before {name}")
            result = await method(*arguments, **named)
            if name == "append":
                self._world.check_even(arguments[0].run, arguments[2].entries)
            if name in ("append", "accept"):
                self._world.after_commit()
            await self._world.maybe_crash(f"after {name}")
            await trio.lowlevel.checkpoint()
            return result

        return call


class SimPool(Pool):
    """Both ways that a run can go, at random: begun in the accepting transaction, or queued and claimed."""

    chance: random.Random
    world: World
    careful = 5.0

    async def _fold(self, plan: Plan, claimed: Any, at: float, entries: list[Any]) -> Any:
        self.world.poison(claimed.event, "walk", claimed.record.id)
        run = await super()._fold(plan, claimed, at, entries)
        if any(isinstance(entry, Snapshot) for entry in entries):
            self.world.snapshots += 1
            plain = [entry for entry in entries if not isinstance(entry, Snapshot)]
            if exactly(await super()._fold(plan, claimed, at, plain)) != exactly(run):
                raise Violation(f"I10: {run.id} is another one from its snapshot")
        return run

    def has_room(self) -> bool:
        return super().has_room() and self.chance.random() < 0.6


class SimParked(Parked):
    """What is kept in memory must be what its journal says."""

    def __init__(self, world: World, bound: int) -> None:
        super().__init__(bound)
        self._world = world

    def take(self, id: str, seq: int) -> Run | None:
        run = super().take(id, seq)
        if run is not None:
            self._world.parked += 1
            again = self._world.folded(self._world.store._runs[id], 10**9)
            if fingerprint(again) != fingerprint(run):
                raise Violation(f"I10: {id} in memory is not what its journal says")
        return run


class SimDecider(machine.MachineDecider):
    """Begins runs as the real one does; a poisoned event takes the daemon down with it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, plan: Plan, event: Any, *arguments: Any) -> Any:
        self._world.poison(event, "walk", f"{event.event.key} as it came")
        return super().begin(plan, event, *arguments)


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.trace: list[str] = []
        self.store = MemoryStore()
        self.clock = SimClock()
        self.ids = SimIds()
        loaded = documents(*flows(seed))
        bad = [str(problem) for d in loaded for problem in d.problems if problem.severity == "error"]
        if bad:
            raise AssertionError(bad)
        self.plans: dict[str, Plan] = {d.plan.version: d.plan for d in loaded if d.plan is not None}
        self.flows = FlowSet(self.plans.values())
        self.chaos = True
        self.cut = trio.Event()
        """Ends the present life from outside."""
        self.crashes = 0
        self.acknowledged: dict[str, list[str]] = {}
        self.sent: dict[str, Event] = {}
        self.performing: Counter[tuple[str, str]] = Counter()
        self.deaths = 0
        self.bounds: tuple[int, ...] = (0, 40_000, BOUND)
        """How much of what waits may stay in memory: nothing, little, all."""
        self.parked = 0
        """Runs that went on from memory."""
        self.poisoned: Counter[str] = Counter()
        """Lives that a run (or an event on its way in) took down with it."""
        self.walked: dict[str, float] = {}
        """When an event on its way in was walked last, and ended a life."""
        self.jumped = -1e9
        self.blind = False
        """The clock was set, and the daemon died before it could see that: one duration may be off by as much."""
        self.times: dict[str, tuple[int, float, float]] = {}
        """Of each run: the life, the moment and the run's own time of its last append."""
        self.pool: SimPool | None = None
        self.snapshots = 0
        """Recoveries that began with one."""

    async def maybe_crash(self, where: str) -> None:
        if self.chaos and self.random.random() < 0.015:
            await self.crash(where)

    async def crash(self, where: str) -> None:
        self.died(where)
        raise Crashed(where)

    def died(self, where: str) -> None:
        self.crashes += 1
        self.blind = self.blind or trio.current_time() - self.jumped < 11.0
        self.trace.append(f"{trio.current_time():.3f} crash {where}")

    def poison(self, event: Any, when: str, name: str) -> None:
        """A run that takes the daemon down with it whenever it is walked, or performed: three lives at most. Before
        it is stored nothing is known of it: each time it is sent may take one."""
        data = event.event.data
        if not self.chaos or not isinstance(data, dict) or data.get("poison") != when:
            return
        self.poisoned[name] += 1
        # a step that is `safe` is performed once without a word in the journal
        if self.poisoned[name] > (3 if when == "walk" else 4) and not name.endswith(" as it came"):
            raise Violation(f"poison: {name} took {self.poisoned[name]} lives")
        if when == "walk" and trio.current_time() - self.walked.get(name, -1e9) < SimPool.careful:
            raise Violation(f"poison: {name} was walked right after it ended a life")
        self.walked[name] = trio.current_time() if name.endswith(" as it came") else -1e9
        self.died(f"by poison: {name}")
        raise Crashed(name)

    def is_poisoned(self, run: str) -> bool:
        event = self.store._events[self.store._runs[run].record.event]
        return isinstance(event.event.data, dict) and "poison" in event.event.data

    def jump(self, seconds: float) -> None:
        self.clock.offset += seconds
        self.jumped = trio.current_time()

    def check_even(self, run: str, entries: Sequence[AnyEntry]) -> None:
        """Durations are even: between two appends of one life a run's own time goes on with the monotonic clock."""
        if not entries:
            return
        before = self.times.get(run)
        shifted = sum(entry.by for entry in entries if isinstance(entry, Shifted))
        at = entries[-1].at
        known = self.store._runs[run].entries[: -len(entries)]
        fresh = before is None or before[0] != self.deaths
        if fresh and known and at == known[-1].at and self.pool is not None:
            # the clock was set back while no daemon lived: the run's time waits for it, and goes on from there
            at = min(at, self.pool._time.now() + self.store._runs[run].record.shift)
        self.times[run] = (self.deaths, trio.current_time(), at)
        if before is None or before[0] != self.deaths or self.blind:
            return
        own = entries[-1].at - before[2] - shifted
        if abs(own - (trio.current_time() - before[1])) > 0.6:
            journal = self.store._runs[run].entries
            raise Violation(f"durations: {run} counts {own} s in {trio.current_time() - before[1]} s: {journal}")

    def check_stalls(self) -> None:
        """No timer by duration is further away than the longest wait, however the clock was set."""
        if self.pool is None or self.blind or self.cut.is_set():
            return
        now = self.pool._time.now()
        for row in self.store._runs.values():
            if row.due is not None and row.due - now > LONGEST_WAIT:
                raise Violation(f"durations: {row.record.id} waits {row.due - now} s")

    async def live(self) -> None:
        """One life of the daemon after another, until told that it is enough."""
        while True:
            self.performing.clear()
            self.deaths += 1
            self.cut = trio.Event()
            try:
                await self.store.open()
                self.store._watchers.clear()
                await self.boot()
            except* Crashed:
                pass
            await trio.sleep(0.1)

    async def boot(self) -> None:
        import anyio

        store: Any = SimStore(self.store, self)

        async def plan(version: str) -> Plan | None:
            return self.plans.get(version)

        async with anyio.create_task_group() as group:
            owner = f"own_{self.deaths}"
            parked = SimParked(self, self.bounds[(self.seed + self.deaths) % len(self.bounds)])

            def runner(pool: Pool) -> Runner:
                preparer = Preparer(SimDecider(self), self.ids, lambda: self.flows, pool, owner, {})
                settlement = Settlement(pool, self.clock, self)
                self.inbox = Inbox(store, preparer, settlement, self.clock, self)
                return Runner(store, preparer, self, self.clock, self, settlement)

            pool = SimPool(group, store, self.clock, self, plan, owner, runner, max_active=4, parked=parked)
            pool.chance, pool.world = self.random, self
            await pool.begin()
            self.pool = pool
            group.start_soon(pool.run)
            group.start_soon(self.senders)
            await self.cut.wait()
            raise Crashed("chaos")

    def observe(self, fact: Fact) -> None:
        fields = fact.shown()
        self.trace.append(f"{trio.current_time():.3f} {fact.NAME} {sorted(fields.items())}")
        broken = isinstance(fact, RunPaused) and self.store._runs[fact.run].record.error
        if broken and broken["type"] in ("broken", "crashed"):
            return  # three lives ended with it
        if isinstance(fact, (RunBroken, ActionCrashed, RunPaused)):
            raise Violation(f"{fact.NAME}: {fields.get('trace') or fields}")

    async def senders(self) -> None:
        """Sends each event until it is acknowledged, as a good source does; sometimes again after that."""
        for number in range(EVENTS):
            key = f"key-{number}"
            if key not in self.sent:
                name = self.random.choice([flow for flow in self.flows.plans if flow != "notes"])
                data: dict[str, Any] = {"x": self.random.randint(0, 5), "key": f"k{self.random.randint(0, 1)}"}
                if self.random.random() < 0.05:
                    data["poison"] = self.random.choice(["walk", "perform"])
                self.sent[key] = Event(type=f"go.{name}", source="sim", key=key, data=data)
            again = key in self.acknowledged and self.random.random() < 0.2
            if key not in self.acknowledged or again:
                while (receipt := await self.emit(self.sent[key])) is None:
                    await trio.sleep(self.random.random())
                runs = [run.id for run in receipt.runs]
                before = self.acknowledged.setdefault(key, runs)
                if before != runs:
                    raise Violation(f"I2: {key} started {before}, then {runs}")
                if receipt.event not in self.store._events:
                    raise Violation(f"I1: {receipt.event} was acknowledged and is not stored")
            await trio.sleep(self.random.random() * 5)

    async def emit(self, event: Event) -> Receipt | None:
        """None for a source that was stopped in the middle of it: it sends the event again when it is back."""
        receipt = None
        with trio.CancelScope() as scope:
            if self.random.random() < 0.2:
                async with trio.open_nursery() as nursery:

                    async def stop(after: int) -> None:
                        for _ in range(after):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(stop, self.random.randrange(4))
                    await self.inbox.emit("event", event)
            else:
                receipt = await self.inbox.emit("event", event)
        return receipt

    async def perform(self, run: Run, frame: Any, deadline: float | None) -> Any:
        """The outside world: slow, sometimes failing, always the same for one step, attempt and run."""
        path = frame.path
        self.trace.append(f"{trio.current_time():.3f} perform {run.id} {path} {frame.attempt}")
        row = self.store._runs[run.id]
        recorded = [e for e in row.entries if e.path == path]
        if any(isinstance(e, Ended) for e in recorded):
            raise Violation(f"I3: {run.id} {path} has a result and starts again")
        if frame.step.body.repeat != "safe" and not any(isinstance(e, Started) for e in recorded):
            raise Violation(f"I4: {run.id} {path} acts without a written intention")
        slot = (run.plan.flow, row.concurrency_key or "")
        concurrency = run.plan.concurrency
        self.performing[(run.id, path)] += 1
        if concurrency is not None:
            active = {
                other
                for other, _ in self.performing
                if self.performing[(other, _)]
                and self.store._runs[other].concurrency_key == row.concurrency_key
                and self.store._runs[other].record.flow == run.plan.flow
            }
            if len(active) > concurrency.limit:
                raise Violation(f"concurrency: {len(active)} runs of {slot} act at once")
        try:
            await trio.sleep(self.random.random() * 3)
            await self.maybe_crash(f"in {path}")
            self.poison(run.event, "perform", f"{run.id} {path} {frame.attempt}")
            return outcome(run.plan.flow, path, frame.attempt)
        finally:
            self.performing[(run.id, path)] -= 1

    async def person(self) -> None:
        """Resumes what three crashes in one intention, or before anything was written, left to a person; nothing else
        may be paused."""
        for row in list(self.store._runs.values()):
            if row.record.status is Status.paused and not row.signals:
                if not row.record.error or row.record.error["type"] not in ("crashed", "broken"):
                    raise Violation(f"{row.record.id} is paused: {row.record.error}")
                await self.store.signal(signal_of(row.record.id, Resume()))

    def after_commit(self) -> None:
        for row in self.store._runs.values():
            last = 0.0
            for entry in row.entries:
                if entry.at < last and not isinstance(entry, Shifted):
                    raise Violation(f"I8: time goes back in {row.record.id}: {row.entries}")
                last = entry.at
            ends = Counter(entry.path for entry in row.entries if isinstance(entry, Ended))
            if any(count > 1 for count in ends.values()):
                raise Violation(f"I3: a step ended twice in {row.record.id}")
            if row.record.status.ended and (row.due is not None or row.owner is not None or row.signals):
                raise Violation(f"I7: {row.record.id} ended and still owns something")

    def check_replay(self) -> None:
        """I10: folding the journal gives what the store says, under any budget."""
        for row in self.store._runs.values():
            record = row.record
            if record.started is None or (record.error or {}).get("type") == "broken":
                continue
            made = [self.folded(row, budget) for budget in (2, 10**9)]
            if fingerprint(made[0]) != fingerprint(made[1]):
                raise Violation(f"I10: {record.id} depends on the budget")
            if machine.status(made[0]) is not record.status and record.status is not Status.queued:
                raise Violation(f"I10: {record.id} is {record.status}, its journal says {machine.status(made[0])}")
            if record.status.ended and made[0].output != record.output:
                raise Violation(f"I10: {record.id} has {record.output}, its journal says {made[0].output}")

    def folded(self, row: Any, budget: int) -> Run:
        record = row.record
        plan, event = self.plans[record.version], self.store._events[record.event]
        return machine.recover(
            plan, event, record.id, record.trigger, record.started, {}, record.bounds, row.entries, budget=budget
        )

    def check_end(self) -> None:
        for key, runs in self.acknowledged.items():
            for run in runs:
                if run not in self.store._runs:
                    raise Violation(f"I1: {key} was acknowledged, and {run} is gone")
        if len(self.acknowledged) != EVENTS:
            raise Violation(f"only {len(self.acknowledged)} events were ever accepted")
        by_event = Counter(row.record.event for row in self.store._runs.values() if row.record.parent is None)
        keyed = Counter(event.event.key for event in self.store._events.values() if event.event.source == "sim")
        if any(count > 1 for count in keyed.values()) or any(count > 1 for count in by_event.values()):
            raise Violation(f"I2: an event was stored or started twice: {keyed} {by_event}")
        for row in self.store._runs.values():
            if not row.record.status.ended:
                raise Violation(f"I6: {row.record.id} is {row.record.status} for ever (due {row.due})")
            self.check_oracle(row.record.id)

    def check_oracle(self, id: str) -> None:
        """A run with crashes ends as one without."""
        row = self.store._runs[id]
        record = row.record
        if record.status is Status.cancelled and record.parent is not None:
            return  # its parent failed in another branch
        expected = self.ideal(self.plans[record.version], self.store._events[record.event], row.entries)
        if expected.status is not record.status:
            raise Violation(f"oracle: {id} is {record.status}, without crashes {expected.status}: {record.error}")
        if record.status is Status.succeeded and expected.output != record.output:
            raise Violation(f"oracle: {id} has {record.output}, without crashes {expected.output}")

    def ideal(self, plan: Plan, event: Any, entries: list[AnyEntry]) -> Run:
        """The same run with a perfect world; sub-flows end as they did."""
        run = machine.begin(plan, event, "run_ideal", "x", BASE, {}, BOUNDS)
        children = {entry.path: entry.run for entry in entries if isinstance(entry, Child)}
        machine.walk(run)
        for _ in range(10_000):
            if run.ended:
                return run
            at = run.now
            command = next(iter(machine.commands(run)), None)
            child = next((frame for frame in run.open.values() if frame.phase is StepPhase.child), None)
            if command is not None and command.kind is StepPhase.call:
                try:
                    entry: AnyEntry = Ended(command.path, at, outcome(plan.flow, command.path, command.frame.attempt))
                except StepFailed as error:
                    entry = _failed(command.path, at, error)
            elif command is not None and command.kind is StepPhase.emit:
                entry = Ended(command.path, at, {"event": "e"})
            elif command is not None and command.kind is StepPhase.queue:
                entry = Ended(command.path, at, {"message": "m"})
            elif command is not None:
                entry = Child(command.path, at, children.get(command.path, "run_none"))
            elif child is not None:
                ended = self.store._runs.get(str(child.child))
                if ended is None or ended.record.status is Status.succeeded:
                    entry = Ended(child.path, at, ended.record.output if ended else None)
                else:
                    entry = _failed(child.path, at, StepFailed("flow.failed", "child"))
            else:
                due = next_due(run)
                assert due is not None
                timer = due_entry(run, max(at, due[0]))
                assert timer is not None
                entry = timer
            machine.fold(run, entry)
            machine.walk(run)
        raise Violation("the ideal run never ends")


def _failed(path: str, at: float, error: StepFailed) -> AnyEntry:
    from reactor.contracts.journal import Failed

    return Failed(path, at, error.as_object())


def outcome(flow: str, path: str, attempt: int) -> Any:
    """What a step's action does: decided by place and attempt alone."""
    digest = hashlib.sha256(f"{flow}|{path}|{attempt}".encode()).digest()
    if digest[0] < 70:
        raise StepFailed("sim.failed", "the outside said no")
    return {"message": digest[1]}


async def simulate(seed: int) -> World:
    world = World(seed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.live)
        while trio.current_time() < CHAOS:
            await trio.sleep(world.random.random() * 10)
            if world.random.random() < 0.3:
                world.jump(world.random.uniform(-5, 5))
            if world.random.random() < 0.1 and world.pool is not None and not world.cut.is_set():
                world.jump(world.random.choice([-900.0, 900.0]))
                await world.pool._time.look()
            if world.random.random() < 0.2 and not world.cut.is_set():
                world.died("by chaos")
                world.cut.set()
            world.check_replay()
            world.check_stalls()
        world.chaos = False
        while trio.current_time() < REST:
            await trio.sleep(20)
            world.check_replay()
            world.check_stalls()
            await world.person()
            rows = world.store._runs.values()
            if len(world.acknowledged) == EVENTS and rows and all(row.record.status.ended for row in rows):
                break
        nursery.cancel_scope.cancel()
    world.check_end()
    return world


def run_seed(seed: int) -> World:
    """One seed to its end. Raises Violation, with the command to run it again."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    usual = snapshot.ENTRIES, snapshot.BYTES_AN_ENTRY
    snapshot.ENTRIES, snapshot.BYTES_AN_ENTRY = ((1, 100_000), (2, 1_000), (1, 100_000), usual)[seed // 10 % 4]
    vars(trio._core._run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio._core._run._r.seed(seed)
    try:
        return trio.run(simulate, seed, clock=clock)
    except BaseExceptionGroup as errors:
        raise _first(errors, seed) from None
    except Violation as error:
        raise _named(error, seed) from None
    finally:
        snapshot.ENTRIES, snapshot.BYTES_AN_ENTRY = usual


def _named(error: BaseException, seed: int) -> Violation:
    return Violation(f"seed {seed}: {error}\nrun it again: .venv/bin/python -m tests.simulation {seed}")


def _first(errors: BaseExceptionGroup[Any], seed: int) -> BaseException:
    stack: list[BaseException] = [errors]
    other: BaseException | None = None
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        elif isinstance(error, Violation):
            return _named(error, seed)
        else:
            other = error
    return other or errors
