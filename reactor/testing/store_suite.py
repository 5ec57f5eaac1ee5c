"""What every store must do. `make` opens a fresh store; `reopen` gives the same data to a new process.

Each check is an async function of an open store; `CHECKS` has them all by name. They raise AssertionError.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from reactor.contracts.errors import StaleClaim, error_object
from reactor.contracts.event import Cursor
from reactor.contracts.journal import Ended, Started
from reactor.contracts.run import Begun, Change, Parent, Start, Status
from reactor.contracts.store import (
    Acceptance,
    Accepted,
    Claim,
    Effects,
    Hints,
    Retention,
    RunFilter,
    Signal,
    Store,
)
from reactor.testing import plan_suite, store_data, store_lives, store_owners, store_sources  # noqa: F401 - their checks belong to it
from reactor.testing.checks import CHECKS as CHECKS  # the suite, for whoever runs it
from reactor.testing.checks import check, require
from reactor.testing.store_parts import BIG, OWNER, accept, change, event, joined, live, over, start


@check
async def an_ended_start_is_stored_ended(store: Store) -> None:
    accepted = await accept(store, start(begun=over({"a": 1})), data={"x": [1, "é", None, 2.5]})
    require([o.verdict for o in accepted.outcomes] == ["started"], accepted)
    record = await store.run("run_1")
    require(record is not None and record.status is Status.succeeded and record.output == {"a": 1}, record)
    found = await store.event("evt_1")
    require(found is not None and found.event.data == {"x": [1, "é", None, 2.5]}, found)
    require(found is not None and found.verdicts[0].run == "run_1", found)
    require(await store.claim(OWNER, 10, 1e9) == [], "an ended run was claimed")
    require(await store.next_wake() is None)


@check
async def an_event_key_is_taken_once_and_answers_the_same(store: Store) -> None:
    first = await accept(store, start("run_1", begun=over()), key="k")
    again = await accept(store, start("run_2", begun=over()), id="evt_2", key="k")
    require(again.duplicate and again.event == first.event == "evt_1", again)
    require([o.run for o in again.outcomes] == ["run_1"], again)
    require(await store.run("run_2") is None and await store.event("evt_2") is None)
    later = await accept(store, start("run_3", begun=over()), id="evt_3", key="k", at=100.0 + 73 * 3600)
    require(not later.duplicate, later)


@check
async def events_that_runs_hold_do_not_keep_the_rest(store: Store) -> None:
    """Runs that wait for months hold their events; there may be more of them than one look takes in."""
    for number in range(60):
        held = number < 45
        await accept(store, start(f"run_{number}", begun=None if held else over()), id=f"evt_{number}")
    for _ in range(40):
        await store.prune(5100.0, Retention(age=1000.0), 5)
    found = await store.counts()
    require((found["runs"], found["events"]) == (45, 45), found)


@check
async def a_key_is_its_source_s_own(store: Store) -> None:
    """Two groups of one topic, two queries of one database: each reads the same message for itself. What is sent, or
    asked for over HTTP, is the same event by whatever way it comes."""
    for number, (origin, known) in enumerate([
        ("kafka:a", False), ("kafka:b", False), ("kafka:a", True), ("event", False), ("http:1", True), ("http:2", True),
    ]):  # fmt: skip
        made = event(f"evt_{number}", key="k")
        made.origin = origin
        given = Acceptance(event=made, starts=[start(f"run_{number}", begun=over())], owner=OWNER)
        accepted = await store.accept(given)
        require(accepted.duplicate is known, (origin, accepted))


@check
async def concurrent_duplicates_start_one_run(store: Store) -> None:
    results: list[Accepted] = []

    async def one(number: int) -> None:
        results.append(await accept(store, start(f"run_{number}", begun=over()), id=f"evt_{number}", key="same"))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    require(sum(1 for result in results if not result.duplicate) == 1, results)
    require(len({result.event for result in results}) == 1, results)
    require((await store.counts())["runs"] == 1)


@check
async def a_clash_in_any_position_leaves_its_neighbours_alone(store: Store) -> None:
    await accept(store, start("run_first", begun=over(), dedupe_key="d", dedupe_seconds=1000.0), id="evt_first")
    for position in range(4):
        outcomes: dict[int, Accepted] = {}

        async def one(number: int, position: int = position, outcomes: dict[int, Accepted] = outcomes) -> None:
            name = f"{position}_{number}"
            key = "d" if number == position else f"own_{name}"
            made = start(f"run_{name}", begun=over(), dedupe_key=key, dedupe_seconds=1000.0)
            outcomes[number] = await accept(store, made, id=f"evt_{name}")

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(one, number)
        verdicts = [outcomes[number].outcomes[0].verdict for number in range(4)]
        require(verdicts == ["duplicate" if n == position else "started" for n in range(4)], verdicts)


@check
async def dedupe_frees_its_key_after_its_time_or_failure(store: Store) -> None:
    def made(id: str, reuse: str, at: float = 100.0, status: Status = Status.failed) -> Start:
        one = start(id, begun=over(status=status), dedupe_key="k", dedupe_seconds=50.0, dedupe_reuse=reuse)
        one.at = at
        return one

    require((await accept(store, made("run_1", "any"), id="e1")).outcomes[0].verdict == "started")
    second = (await accept(store, made("run_2", "any"), id="e2")).outcomes[0]
    require(second.verdict == "duplicate" and second.run == "run_1", second)
    require((await accept(store, made("run_3", "success"), id="e3")).outcomes[0].verdict == "started")
    require((await accept(store, made("run_4", "any", at=151.0), id="e4")).outcomes[0].verdict == "started")


@check
async def an_append_needs_the_token_and_the_sequence(store: Store) -> None:
    await accept(store, start(begun=live(Started("do/0", 100.0, 1))))
    claim = Claim("run_1", OWNER, 1)
    for wrong, seq in ((claim, 0), (Claim("run_1", OWNER, 2), 1), (Claim("run_1", "own_2", 1), 1)):
        try:
            await store.append(wrong, seq, Effects(change=change(), entries=[Ended("do/0", 101.0, 1)]))
        except StaleClaim:
            continue
        raise AssertionError(f"{wrong} at {seq} was taken")
    await store.append(
        claim, 1, Effects(change=change(Status.succeeded, output=5), entries=[Ended("do/0", 101.0, {"r": 1})])
    )
    require(await store.read("run_1") == [Started("do/0", 100.0, 1), Ended("do/0", 101.0, {"r": 1})])
    record = await store.run("run_1")
    require(record is not None and record.output == 5 and record.ended == 200.0, record)
    try:
        await store.append(claim, 2, Effects(change=change()))
    except StaleClaim:
        return
    raise AssertionError("an ended run took an append")


@check
async def a_released_run_is_claimed_when_due(store: Store) -> None:
    await accept(store, start(begun=live()))
    claim = Claim("run_1", OWNER, 1)
    require(await store.claim(OWNER, 10, 1e9) == [], "a held run was claimed")
    await store.append(claim, 0, Effects(change=change(Status.waiting, wake=500.0, release=True)))
    require(await store.next_wake() == 500.0)
    require(await store.claim(OWNER, 10, 499.0) == [])
    (claimed,) = await store.claim(OWNER, 10, 500.0)
    require(claimed.claim.token > 1 and claimed.event.id == "evt_1", claimed)
    require(await store.claim(OWNER, 10, 500.0) == [], "claimed twice")
    try:
        await store.append(claim, 0, Effects(change=change()))
    except StaleClaim:
        return
    raise AssertionError("an old token was taken")


@check
async def a_signal_wakes_a_waiting_run_and_is_consumed_once(store: Store) -> None:
    hints: list[Hints] = []
    store.watch(hints.append)
    await accept(store, start(begun=live()))
    require(await store.signal(Signal(run="run_1", kind="cancel", body={"reason": "r"})))
    await anyio.lowlevel.checkpoint()
    require(any("run_1" in told.signalled for told in hints), hints)
    (signal,) = await store.signals("run_1")
    require(signal.kind == "cancel" and signal.body == {"reason": "r"} and signal.seq > 0, signal)
    await store.append(
        Claim("run_1", OWNER, 1), 0, Effects(change=change(Status.waiting, release=True), consumed=signal.seq)
    )
    require(await store.signals("run_1") == [] and await store.claim(OWNER, 1, 1e9) == [])
    require(await store.signal(Signal(run="run_1", kind="cancel")))
    (claimed,) = await store.claim(OWNER, 1, 0.0)
    require([s.kind for s in claimed.signals] == ["cancel"], claimed)


@check
async def signals_of_an_acceptance_are_in_its_transaction(store: Store) -> None:
    """In every position of a batch: a duplicate tells nothing, and one that nobody can take harms no neighbour."""
    await accept(store, start("run_w", begun=live()), start("run_over", begun=over()), id="evt_w")
    held = Effects(change=change(Status.waiting, wake=1e12, release=True))
    await store.append(Claim("run_w", OWNER, 1), 0, held)
    await store.accept(Acceptance(event=event("evt_first", key="known"), owner=OWNER))
    for position in range(4):

        async def one(number: int, position: int = position) -> None:
            name = f"{position}_{number}"
            told = [Signal(run=run, kind="cancel", body={"by": name}) for run in ("run_none", "run_over", "run_w")]
            stored = event(f"evt_{name}", key="known" if number == position else None)
            await store.accept(Acceptance(event=stored, signals=told, owner=OWNER))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(one, number)
    expected = [f"{position}_{number}" for position in range(4) for number in range(4) if number != position]
    found = [signal.body["by"] for signal in await store.signals("run_w")]
    require(sorted(found) == sorted(expected), found)
    require(await store.signals("run_over") == [] and await store.signals("run_none") == [])
    (claimed,) = await store.claim(OWNER, 10, 0.0)
    require(claimed.record.id == "run_w" and len(claimed.signals) == 12, claimed)


@check
async def a_signal_that_came_before_the_release_is_not_lost(store: Store) -> None:
    await accept(store, start(begun=live()))
    await store.signal(Signal(run="run_1", kind="cancel"))
    await store.append(Claim("run_1", OWNER, 1), 0, Effects(change=change(Status.waiting, wake=1e12, release=True)))
    require(len(await store.claim(OWNER, 1, 0.0)) == 1, "the wake-up was lost")


@check
async def signals_are_refused_where_they_mean_nothing(store: Store) -> None:
    require(not await store.signal(Signal(run="run_none", kind="cancel")))
    await accept(store, start(begun=over()))
    for kind in ("cancel", "resume", "retry"):
        require(not await store.signal(Signal(run="run_1", kind=kind)), kind)
    await accept(store, start("run_2", begun=over(status=Status.failed)), id="evt_2")
    require(await store.signal(Signal(run="run_2", kind="retry")))
    require(not await store.signal(Signal(run="run_2", kind="retry")), "retried twice at once")
    (claimed,) = await store.claim(OWNER, 5, 200.0)
    require(claimed.record.id == "run_2" and claimed.record.status is Status.queued, claimed)


@check
async def concurrency_queues_in_order_and_promotes_at_the_end(store: Store) -> None:
    for number in range(3):
        made = start(f"run_{number}", concurrency_key="k", begun=live())
        require((await accept(store, made, id=f"evt_{number}")).outcomes[0].verdict == "started")
    (first,) = await store.claim(OWNER, 10, 200.0)
    require(first.record.id == "run_0", first)
    await store.append(first.claim, 0, Effects(change=change(Status.waiting, release=True)))
    require(await store.claim(OWNER, 10, 1e9) == [], "a waiting run keeps its slot")
    await store.signal(Signal(run="run_0", kind="cancel"))
    (again,) = await store.claim(OWNER, 10, 1e9)
    await store.append(again.claim, 0, Effects(change=change(Status.cancelled), consumed=again.signals[-1].seq))
    (second,) = await store.claim(OWNER, 10, 1e9)
    require(second.record.id == "run_1", second)


@check
async def busy_policies_skip_replace_and_merge(store: Store) -> None:
    def made(id: str, policy: str, waiting: int = 100) -> Start:
        return start(id, flow=policy, concurrency_key="k", when_busy=policy, waiting=waiting)

    for policy in ("skip", "replace", "latest", "queue"):
        await accept(store, made(f"run_{policy}_0", policy, 1), id=f"evt_{policy}_0")
    skipped = await accept(store, made("run_skip_1", "skip"), id="evt_s")
    require(skipped.outcomes[0].verdict == "busy" and skipped.outcomes[0].run is None, skipped)
    await accept(store, made("run_replace_1", "replace"), id="evt_r")
    require([s.kind for s in await store.signals("run_replace_0")] == ["cancel"], "the old run was not cancelled")
    await accept(store, made("run_latest_1", "latest"), id="evt_l1")
    merged = await accept(store, made("run_latest_2", "latest"), id="evt_l2")
    require(merged.outcomes[0].verdict == "merged" and merged.outcomes[0].run == "run_latest_1", merged)
    record = await store.run("run_latest_1")
    require(record is not None and record.event == "evt_l2" and record.events == ["evt_l1", "evt_l2"], record)
    await accept(store, made("run_queue_1", "queue", 1), id="evt_q1")
    full = await accept(store, made("run_queue_2", "queue", 1), id="evt_q2")
    require(full.outcomes[0].verdict == "busy", full)


@check
async def a_childs_end_signals_its_parent(store: Store) -> None:
    await accept(store, start("run_1", begun=live()))
    child = start("run_2", flow="child", begun=over({"out": 1}), parent=Parent("run_1", "do/0"))
    outbox = [Acceptance(event=event("evt_2"), starts=[child], owner=OWNER)]
    await store.append(Claim("run_1", OWNER, 1), 0, Effects(change=change(Status.waiting, release=True), outbox=outbox))
    (claimed,) = await store.claim(OWNER, 10, 0.0)
    (signal,) = claimed.signals
    require(signal.kind == "child" and signal.body["path"] == "do/0" and signal.body["output"] == {"out": 1}, signal)


@check
async def what_an_append_sends_is_in_its_transaction(store: Store) -> None:
    await accept(store, start(begun=live()))
    outbox = [Acceptance(event=event("evt_2"), starts=[start("run_2", begun=over())], owner=OWNER)]
    try:
        await store.append(Claim("run_1", OWNER, 7), 0, Effects(change=change(), outbox=outbox))
    except StaleClaim:
        require(await store.event("evt_2") is None, "a refused append sent its event")
    appended = await store.append(Claim("run_1", OWNER, 1), 0, Effects(change=change(Status.succeeded), outbox=outbox))
    require(appended.accepted[0].event == "evt_2" and await store.run("run_2") is not None, appended)


@check
async def what_a_start_publishes_is_stored_only_when_it_is_made(store: Store) -> None:
    def made(id: str) -> Start:
        one = start(id, begun=over(), dedupe_key="k", dedupe_seconds=1000.0)
        one.follow = [Acceptance(event=event(f"evt_of_{id}"), owner=OWNER)]
        return one

    await accept(store, made("run_1"), id="evt_1")
    await accept(store, made("run_2"), id="evt_2")
    require(await store.event("evt_of_run_1") is not None and await store.event("evt_of_run_2") is None)


@check
async def a_new_process_takes_over_what_the_old_one_held(store: Store) -> None:
    await accept(store, start(begun=live(Started("do/0", 100.0, 1))))
    await store.close()
    await store.open()
    (claimed,) = await store.claim(await joined(store, "own_2"), 10, 0.0)
    require(claimed.entries == [Started("do/0", 100.0, 1)] and claimed.record.started == 100.0, claimed)


@check
async def cursors_move_with_their_event_and_without(store: Store) -> None:
    acceptance = Acceptance(event=event(key="k"), cursors=[Cursor("s", "a", 1), Cursor("s", "b", {"x": 2})])
    await store.accept(acceptance)
    await store.accept(Acceptance(event=event("evt_2", key="k"), cursors=[Cursor("s", "a", 5)]))
    await store.move([Cursor("s", "b", None), Cursor("t", "a", 9)])
    require(await store.cursor("s") == {"a": 5}, await store.cursor("s"))


@check
async def pages_follow_one_another(store: Store) -> None:
    for number in range(25):
        await accept(store, start(f"run_{number:02}", begun=over()), id=f"evt_{number:02}")
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.runs(RunFilter(flow="f", status="succeeded"), cursor, 10)
        seen += [record.id for record in page.items]
        cursor = page.next
        if cursor is None:
            break
    require(seen == [f"run_{number:02}" for number in reversed(range(25))], seen)
    page = await store.runs(RunFilter(event="evt_07"), None, 10)
    require([record.id for record in page.items] == ["run_07"], page)
    require((await store.runs(RunFilter(status="failed"), None, 10)).items == [])
    require(len((await store.events(None, 20)).items) == 20)
    require((await store.events(None, 20, "none")).items == [])


@check
async def pruning_removes_what_ended_long_ago_and_only_that(store: Store) -> None:
    await accept(store, start("run_old", begun=over()), id="evt_old")
    await accept(store, start("run_alive", begun=live()), id="evt_alive")
    newer = start("run_new", begun=Begun(entries=[], change=Change(status=Status.succeeded, at=5000.0, started=5000.0)))
    newer.at = 5000.0
    await accept(store, newer, id="evt_new", at=5000.0)
    while await store.prune(5100.0, Retention(age=1000.0), 100):
        pass
    require(await store.run("run_old") is None and await store.run("run_alive") is not None)
    require(await store.run("run_new") is not None and await store.event("evt_new") is not None)
    require(await store.event("evt_alive") is not None, "the event of a live run was removed")


@check
async def pruning_keeps_to_the_count(store: Store) -> None:
    for number in range(20):
        made = Begun(entries=[], change=Change(status=Status.succeeded, at=100.0 + number, started=100.0))
        await accept(store, start(f"run_{number:02}", begun=made), id=f"evt_{number:02}")
    while await store.prune(200.0, Retention(age=1e9, count=5), 7):
        pass
    page = await store.runs(RunFilter(), None, 100)
    require([record.id for record in page.items] == [f"run_{number:02}" for number in range(19, 14, -1)], page)


@check
async def an_error_is_kept_whole(store: Store) -> None:
    error = error_object("x.y", "m", details={"a": [1]})
    await accept(store, start(begun=live()))
    await store.append(
        Claim("run_1", OWNER, 1), 0, Effects(change=change(Status.failed, error=error, response={"status": 200}))
    )
    record = await store.run("run_1")
    require(record is not None and record.error == error and record.response == {"status": 200}, record)


@check
async def large_values_come_back_whole(store: Store) -> None:
    await accept(store, start(begun=over(BIG)), start("run_2", begun=live(Started("do/0", 100.0))), data=BIG)
    stored = await store.event("evt_1")
    require(stored is not None and stored.event.data == BIG, "the event")
    record = await store.run("run_1")
    require(record is not None and record.output == BIG, "the output")
    claim = Claim("run_2", OWNER, 1)
    await store.append(claim, 1, Effects(change=change(release=True, wake=101.0), entries=[Ended("do/0", 101.0, BIG)]))
    (claimed,) = await store.claim(await joined(store, "own_2"), 10, 200.0)
    require(claimed.event.event.data == BIG and (claimed.entries or [])[1] == Ended("do/0", 101.0, BIG), "the journal")
    require((await store.read("run_2"))[1] == Ended("do/0", 101.0, BIG))


@check
async def an_event_that_comes_again_leaves_its_upload_alone(store: Store) -> None:
    await accept(store, key="a", data=BIG)
    again = await accept(store, key="a", id="evt_2", data=BIG)
    require(again.duplicate and again.event == "evt_1")
