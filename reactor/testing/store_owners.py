"""What every store must do for several owners that are alive at once: each run has one of them, and one that was silent
for too long is kept out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel

from reactor.contracts.errors import StaleClaim
from reactor.contracts.event import Event
from reactor.contracts.journal import Ended, Started
from reactor.contracts.run import Status
from reactor.contracts.store import Acceptance, Claim, Effects, Hints, Signal, Store
from reactor.testing.checks import check, require
from reactor.testing.store_parts import OWNER, accept, change, event, joined, live, message, over, start

FOREVER = 1e12


async def refused(work: Callable[[], Awaitable[Any]], why: object) -> None:
    try:
        await work()
    except StaleClaim:
        return
    raise AssertionError(f"not refused: {why}")


@check
async def two_owners_never_get_the_same_run(store: Store) -> None:
    owners = [await joined(store, owner) for owner in ("own_a", "own_b")]
    for number in range(20):
        await accept(store, start(f"run_{number:02}"), id=f"evt_{number}")
    taken: dict[str, str] = {}

    async def take(owner: str) -> None:
        for one in await store.claim(owner, 3, 200.0):
            require(one.record.id not in taken, f"{one.record.id} is {taken.get(one.record.id)}'s, and {owner} got it")
            taken[one.record.id] = owner
            require(one.claim == Claim(one.record.id, owner, one.claim.token) and one.claim.token > 0, one)

    for _ in range(4):
        async with anyio.create_task_group() as group:
            for owner in owners:
                group.start_soon(take, owner)
    require(len(taken) == 20 and set(taken.values()) == set(owners), taken)
    require(await store.claim("own_a", 10, 1e9) == [] and await store.claim("own_b", 10, 1e9) == [])
    for run, owner in taken.items():
        other = "own_b" if owner == "own_a" else "own_a"
        await refused(lambda r=run, o=other: store.append(Claim(r, o, 1), 0, Effects(change=change())), run)  # type: ignore[misc]
        await store.append(Claim(run, owner, 1), 0, Effects(change=change(Status.succeeded)))


@check
async def a_lease_that_is_over_loses_its_runs_to_the_other(store: Store) -> None:
    """And whoever had them is kept out of them, whatever it does."""
    old = await store.join("own_a", 0.0, 150.0)
    await joined(store, "own_b")
    begun = live(Started("do/0", 100.0, 1))
    given = Acceptance(event=event(), starts=[start("run_live", begun=begun), start("run_due")], owner="own_a")
    (outcome, _) = (await store.accept(given)).outcomes
    mine = {"run_live": Claim("run_live", "own_a", outcome.token)}
    mine |= {one.record.id: one.claim for one in await store.claim("own_a", 10, 100.0)}
    require(set(mine) == {"run_live", "run_due"} and old.until == 150.0, mine)
    require(await store.claim("own_b", 10, 149.9) == [], "taken over too early")
    theirs = {one.record.id: one for one in await store.claim("own_b", 10, 150.0)}
    require(set(theirs) == set(mine), theirs)
    require(theirs["run_live"].entries == [Started("do/0", 100.0, 1)], theirs)
    for run, claim in mine.items():
        seq = len(theirs[run].entries or [])
        require(theirs[run].claim.token > claim.token, theirs[run])
        sent = Effects(
            change=change(Status.succeeded), entries=[Ended("do/0", 101.0, 1)],
            outbox=[Acceptance(event=event("evt_x"))], pushes=[message("m1")],
            signals=[Signal(run="run_due", kind="cancel")],
        )  # fmt: skip
        await refused(lambda c=claim, s=seq, e=sent: store.append(c, s, e), run)  # type: ignore[misc]
        await refused(lambda c=claim: store.release(c, 0.0), run)  # type: ignore[misc]
        record = await store.run(run)
        require(record is not None and not record.status.ended and len(await store.read(run)) == seq, record)
    require(await store.event("evt_x") is None and await store.take("mails", 1) == [], "something of it was stored")
    require(await store.signals("run_due") == [], "a signal of it was stored")
    await refused(lambda: store.renew(old, 101.0, 100.0), "the lease")
    await refused(lambda: store.claim("own_a", 10, 1e9), "a claim without lease")
    for run, one in theirs.items():
        await store.append(one.claim, len(one.entries or []), Effects(change=change(Status.succeeded)))
        record = await store.run(run)
        require(record is not None and record.status is Status.succeeded, record)


@check
async def a_renewed_lease_keeps_its_runs(store: Store) -> None:
    lease = await store.join("own_a", 0.0, 150.0)
    await joined(store, "own_b")
    await accept(store, start())
    (mine,) = await store.claim("own_a", 10, 120.0)
    renewed = await store.renew(lease, 140.0, 100.0)
    require((renewed.token, renewed.until) == (lease.token, 240.0), renewed)
    require(await store.claim("own_b", 10, 239.0) == [], "a renewed lease was taken over")
    await store.append(mine.claim, 0, Effects(change=change(Status.succeeded)))


@check
async def an_owner_that_was_taken_over_begins_anew(store: Store) -> None:
    old = await store.join("own_a", 0.0, 150.0)
    await joined(store, "own_b")
    await accept(store, start())
    (mine,) = await store.claim("own_a", 10, 120.0)
    (theirs,) = await store.claim("own_b", 10, 200.0)
    new = await store.join("own_a", 200.0, 100.0)
    require(new.token > old.token, new)
    await refused(lambda: store.renew(old, 200.0, 100.0), "the old token")
    await refused(lambda: store.append(mine.claim, 0, Effects(change=change())), "what it had")
    require(await store.claim("own_a", 10, 1e9) == [], "it is the other's now")
    await store.append(theirs.claim, 0, Effects(change=change(Status.waiting, wake=300.0, release=True)))
    (again,) = await store.claim("own_a", 10, 1e9)
    require(again.claim.token > theirs.claim.token, again)
    await refused(lambda: store.append(mine.claim, 0, Effects(change=change())), "the same owner's older token")


@check
async def runs_that_are_accepted_live_say_their_token(store: Store) -> None:
    follow = Acceptance(event=event("evt_2"), starts=[start("run_next", begun=live())], owner=OWNER)
    first = start("run_1", begun=over())
    first.follow = [follow]
    accepted = await accept(store, first, start("run_2", begun=live()), start("run_3"))
    require([o.token > 0 for o in accepted.outcomes] == [False, True, False], accepted)
    (next_,) = accepted.follow
    require(next_.event == "evt_2" and next_.outcomes[0].run == "run_next", next_)
    for outcome in (accepted.outcomes[1], next_.outcomes[0]):
        claim = Claim(str(outcome.run), OWNER, outcome.token)
        await store.append(claim, 0, Effects(change=change(Status.succeeded)))


@check
async def what_a_lost_owner_accepts_is_for_whoever_claims_it(store: Store) -> None:
    """The event is stored, and nothing of its run is begun."""
    await store.join("own_a", 0.0, 150.0)
    await joined(store, "own_b")
    require(await store.claim("own_b", 1, 200.0) == [])
    made = [start("run_live", begun=live(Started("do/0", 100.0, 1))), start("run_over", begun=over(1))]
    accepted = await store.accept(Acceptance(event=event(), starts=made, owner="own_a"))
    require([(o.verdict, o.token) for o in accepted.outcomes] == [("started", 0)] * 2, accepted)
    (one,) = await store.claim("own_b", 10, 200.0)
    require(one.record.id == "run_live" and one.record.started is None and one.entries == [], one)
    ended = await store.run("run_over")
    require(ended is not None and ended.status is Status.succeeded and ended.output == 1, ended)


@check
async def a_run_is_given_back_by_its_owner_alone(store: Store) -> None:
    await joined(store, "own_a")
    await accept(store, start())
    (one,) = await store.claim("own_a", 1, 200.0)
    for wrong in (Claim("run_1", "own_b", one.claim.token), Claim("run_1", "own_a", one.claim.token + 1)):
        await refused(lambda c=wrong: store.release(c, 0.0), wrong)  # type: ignore[misc]
    await refused(lambda: store.release(Claim("run_none", "own_a", 1), 0.0), "no such run")
    require(await store.claim(OWNER, 1, 1e9) == [], "it was given back")
    await store.release(one.claim, 300.0)
    (again,) = await store.claim(OWNER, 1, 300.0)
    require(again.claim.token > one.claim.token, again)


@check
async def a_run_whose_owners_are_lost_is_left_to_a_person(store: Store) -> None:
    """Three owners were lost with it before anything was written."""
    await accept(store, start())
    for number in range(3):
        owner = f"own_{number}x"
        await store.join(owner, number * 100.0, 100.0)
        (one,) = await store.claim(owner, 1, 200.0 + number * 100.0)
        require(one.record.id == "run_1", one)
    require(await store.claim(OWNER, 1, 1e9) == [])
    record = await store.run("run_1")
    require(record is not None and record.status is Status.paused and record.error is not None, record)


@check
async def leases_end_with_their_process(store: Store) -> None:
    lease = await store.join("own_a", 0.0, FOREVER)
    await accept(store, start())
    await store.claim("own_a", 1, 200.0)
    await store.close()
    await store.open()
    await refused(lambda: store.renew(lease, 1.0, FOREVER), "a lease of the life before")
    (one,) = await store.claim(await joined(store, "own_b"), 1, 200.0)
    require(one.record.id == "run_1", one)


@check
async def a_takeover_leaves_its_neighbours_alone(store: Store) -> None:
    """In a batch with acceptances, appends and a stale append."""
    await store.join("own_a", 0.0, 150.0)
    await joined(store, "own_b")
    for number in range(3):
        await accept(store, start(f"run_{number}"), id=f"evt_{number}")
    (mine,) = await store.claim("own_a", 1, 120.0)
    (other,) = await store.claim("own_b", 1, 120.0)
    found: dict[str, Any] = {}

    async def takeover() -> None:
        found["claimed"] = [one.record.id for one in await store.claim("own_b", 10, 500.0)]

    async def stale() -> None:
        await refused(lambda: store.append(mine.claim, 5, Effects(change=change())), "a wrong sequence")

    async def append() -> None:
        await store.append(other.claim, 0, Effects(change=change(Status.succeeded)))

    async def more() -> None:
        stored = event("evt_more")
        stored.event = Event(type="t", source="s", key="more")
        found["more"] = await store.accept(Acceptance(event=stored, starts=[start("run_9", begun=over())], owner=OWNER))

    async with anyio.create_task_group() as group:
        for work in (append, stale, takeover, more):
            group.start_soon(work)
    require(sorted(found["claimed"]) == ["run_0", "run_2"], found)
    record = await store.run("run_1")
    require(record is not None and record.status is Status.succeeded, record)
    require(found["more"].outcomes[0].verdict == "started", found)


@check
async def hints_tell_of_ended_runs_queues_signals_and_lost_owners(store: Store) -> None:
    """Of all owners' commits; what ends in its accepting transaction, or is refused, tells of no end."""
    told: list[Hints] = []
    heard: list[Hints] = []
    store.watch(told.append)

    async def hear(name: str, what: str) -> None:
        """Waits until it is told, after what was told before."""
        with anyio.fail_after(10):
            while not any(what in getattr(hints, name) for hints in told):
                await anyio.lowlevel.checkpoint()
        heard.extend(told)
        told.clear()

    accepted = await accept(store, start("run_1", begun=live()), start("run_2", begun=over()), start("run_3"))
    await joined(store, "own_b")
    claim = Claim("run_1", OWNER, accepted.outcomes[0].token)
    await store.push([message("m1", "mails")])
    await hear("queues", "mails")
    await store.append(claim, 0, Effects(change=change(), pushes=[message("m2", "letters")]))
    await hear("queues", "letters")
    await store.push([message("m1", "mails")])
    await store.signal(Signal(run="run_1", kind="cancel"))
    await hear("signalled", "run_1")
    await refused(lambda: store.append(claim, 5, Effects(change=change(Status.succeeded))), "the sequence")
    (one,) = await store.claim("own_b", 1, 200.0)
    await store.append(one.claim, 0, Effects(change=change(response={"status": 200})))
    await hear("ended", "run_3")
    require(not any("run_1" in hints.ended or "run_2" in hints.ended for hints in heard), heard)
    require([name for hints in heard for name in hints.queues] == ["mails", "letters"], heard)
    await store.append(claim, 0, Effects(change=change(Status.succeeded)))
    await hear("ended", "run_1")
    await store.join("own_late", 0.0, 1.0)
    await store.claim(OWNER, 1, 500.0)
    await hear("lost", "own_late")
