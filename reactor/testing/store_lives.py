"""What every store must do over time and over lives: what is forgotten, what is due, and runs that end the process."""

from __future__ import annotations

from reactor.contracts.run import Begun, Change, Status
from reactor.contracts.store import Acceptance, Effects, Retention, Signal, Store
from reactor.testing.checks import check, require
from reactor.testing.store_parts import OWNER, accept, change, event, joined, over, start


@check
async def a_dedupe_key_outlives_its_run(store: Store) -> None:
    """Its run and event are forgotten long before it: what was done is not done again, and what failed is."""
    last = Status.succeeded, Status.failed
    for reuse in ("any", "success"):
        for status in last:
            name = f"{reuse}_{status.value}"
            made = start(f"run_{name}", begun=over(status=status), dedupe_key=name, dedupe_seconds=90 * 86400.0)
            made.dedupe_reuse = reuse
            await accept(store, made, id=f"evt_{name}", key=f"k_{name}")
    while await store.prune(100.0 + 31 * 86400.0, Retention(), 100):
        pass
    require((await store.counts())["runs"] == 0)
    for reuse in ("any", "success"):
        for status in last:
            name = f"{reuse}_{status.value}"
            made = start(f"again_{name}", begun=over(), dedupe_key=name, dedupe_seconds=90 * 86400.0)
            made.at, made.dedupe_reuse = 100.0 + 32 * 86400.0, reuse
            (outcome,) = (await accept(store, made, id=f"evt_again_{name}")).outcomes
            free = reuse == "success" and status is Status.failed
            require(outcome.verdict == ("started" if free else "duplicate"), (name, outcome))


@check
async def an_identity_outlives_its_event(store: Store) -> None:
    await accept(store, start("run_1", begun=over()), key="k")
    while await store.prune(100.0 + 7200.0, Retention(age=3600.0), 100):
        pass
    require(await store.event("evt_1") is None and await store.run("run_1") is None)
    again = await accept(store, start("run_2", begun=over()), id="evt_2", key="k", at=100.0 + 7200.0)
    require(again.duplicate and again.event == "evt_1" and await store.run("run_2") is None, again)


@check
async def a_count_takes_events_along(store: Store) -> None:
    for number in range(20):
        await accept(store, start(f"run_{number}", begun=over()), id=f"evt_{number}")
    while await store.prune(200.0, Retention(count=5), 3):
        pass
    found = await store.counts()
    require((found["runs"], found["events"]) == (5, 5), found)


@check
async def durations_are_even_and_moments_are_the_wall_clock_s(store: Store) -> None:
    """`now` is the even time; the run's own times are 1,000 s ahead of it, as the wall clock was at its start."""
    waits = Begun(entries=[], change=Change(status=Status.waiting, at=1100.0, wake=1160.0, started=1100.0))
    made = start("run_1", begun=waits, shift=1000.0)
    await accept(store, made, id="evt_1")
    moment = Begun(entries=[], change=Change(status=Status.waiting, at=1100.0, until=5000.0, started=1100.0))
    await accept(store, start("run_2", begun=moment, shift=1000.0), id="evt_2")
    require(await store.next_wake(0.0) == 160.0 and await store.next_wake(4900.0) == 100.0)
    require(await store.claim(OWNER, 10, 159.0, 4999.0) == [])
    (timer,) = await store.claim(OWNER, 10, 160.0, 4999.0)
    require(timer.record.id == "run_1" and timer.record.shift == 1000.0, timer)
    (wall,) = await store.claim(OWNER, 10, 100.0, 5000.0)
    require(wall.record.id == "run_2", wall)
    await store.append(timer.claim, 0, Effects(change=change(Status.waiting, wake=300.0, shift=100.0, release=True)))
    require(await store.next_wake(0.0) == 200.0)


@check
async def a_run_whose_claims_are_lost_is_left_to_a_person(store: Store) -> None:
    """Three lives ended with it before anything was written. Neighbours that were claimed beside it are not blamed."""
    for number in range(4):
        await accept(store, start(f"run_{number}"), id=f"evt_{number}")
    for life in range(2):
        require(len(await store.claim(await joined(store), 10, 1e9)) == 4, life)
        await _die(store)
        require(store.crashed)
    (alone,) = await store.claim(await joined(store), 10, 1e9)
    require(alone.record.id == "run_0" and await store.claim(OWNER, 10, 1e9) == [], alone)
    require(await store.next_wake() is None, "nothing else may be claimed beside it")
    await store.append(alone.claim, 0, Effects(change=change(Status.waiting, release=True)))
    (bad,) = await store.claim(OWNER, 10, 1e9)
    await _die(store)
    (third,) = await store.claim(await joined(store), 10, 1e9)
    require(bad.record.id == "run_1" and third.record.id == "run_2", (bad, third))
    record = await store.run("run_1")
    require(record is not None and record.status is Status.paused and record.error is not None, record)
    require(record is not None and record.error is not None and record.error["type"] == "broken", record)
    require([run for run, _ in store.quarantined()] == ["run_1"] and store.quarantined() == [])
    await store.append(third.claim, 0, Effects(change=change(Status.succeeded)))
    (fourth,) = await store.claim(OWNER, 10, 1e9)
    await store.append(fourth.claim, 0, Effects(change=change(Status.succeeded)))
    require(await store.signal(Signal(run="run_1", kind="resume")))
    (again,) = await store.claim(OWNER, 10, 1e9)
    require(again.record.id == "run_1", again)


@check
async def a_clean_end_blames_nobody(store: Store) -> None:
    await accept(store, start())
    for _ in range(5):
        require(len(await store.claim(await joined(store), 10, 1e9)) == 1)
        await store.close()
        await store.open()
        require(not store.crashed)


@check
async def ids_are_found_by_their_beginning(store: Store) -> None:
    await store.accept(Acceptance(event=event("evt_1a"), starts=[start("run_7a"), start("run_7b")], owner=OWNER))
    await store.accept(Acceptance(event=event("evt_1b"), owner=OWNER))
    require(await store.ids("run_7", 10) == ["run_7a", "run_7b"])
    require(await store.ids("run_7b", 10) == ["run_7b"] and await store.ids("run_8", 10) == [])
    require(await store.ids("evt_1", 1) == ["evt_1a"] and await store.ids("evt_%", 10) == [])


async def _die(store: Store) -> None:
    """The process ends without a word; the next one opens the store."""
    await store.close(clean=False)
    await store.open()
