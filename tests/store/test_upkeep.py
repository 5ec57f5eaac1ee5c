"""What is forgotten, and at what cost: nothing that happens each second or each event grows with what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from reactor.contracts.run import Change, Status
from reactor.contracts.store import Effects, QueueMessage, Retention, RunFilter
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import BIG, OWNER, accept, live, over, start

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, 0)
    await made.open()
    yield made
    await made.close()


class Steps:
    """Counts SQLite's own steps on the writer: a cost that no clock and no machine changes."""

    def __init__(self, store: SqliteStore) -> None:
        assert store._writer is not None
        self._store = store
        self.count = 0
        store._writer.set_progress_handler(self._tick, 10)

    def _tick(self) -> bool:
        self.count += 10
        return False

    async def of(self, work: Any) -> int:
        self.count = 0
        await work
        return self.count


def fill(path: Path, count: int) -> None:
    """So many ended runs with their events, as the daemon stores them, in one go."""
    db = apsw.Connection(str(path / "reactor.db"))
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    db.execute(
        f"""BEGIN;
        INSERT INTO events (id, type, at, origin, flows, verdicts, event)
            {numbers} SELECT 'evt_f' || i, 't', 50000.0 + i / 1e6, 'event', 'f',
            CAST('[{{"flow":"f","verdict":"started","run":"run_f' || i || '"}}]' AS BLOB),
            CAST('{{"type":"t","source":"s"}}' AS BLOB) FROM n;
        INSERT INTO runs (id, flow, version, event, trigger, status, created, started, ended, token, next_seq,
            signal_seq, concurrency_limit)
            {numbers} SELECT 'run_f' || i, 'f', 'v1', 'evt_f' || i, 'event', 'succeeded', 50000.0, 50000.0,
            50000.0 + i / 1e6, 0, 0, 0, 1 FROM n;
        COMMIT"""
    )
    db.close()


async def filled(path: Path, count: int) -> SqliteStore:
    store = SqliteStore(path, 0)
    await store.open()
    await store.close()
    fill(path, count)
    await store.open()
    return store


async def test_a_look_for_what_may_go_costs_the_same_with_many_events(tmp_path: Path, anyio_backend: str) -> None:
    """The scan of all events is what slowed accepting down: the steps of one look are counted."""
    costs = []
    for count in (5_000, 40_000):
        store = await filled(tmp_path / str(count), count)
        steps = Steps(store)
        kept = (Retention(), Retention(count=10**6), Retention(age=1e6, count=count))
        costs += [await steps.of(store.prune(60_000.0, retention, 500)) for retention in kept]
        await store.close()
    assert min(costs) > 0
    assert max(costs[3:]) <= 1.3 * max(costs[:3]) + 100, costs


async def test_what_metrics_and_wakes_ask_costs_the_same_with_many_runs(tmp_path: Path, anyio_backend: str) -> None:
    costs = []
    for count in (2_000, 20_000):
        store = await filled(tmp_path / str(count), count)
        assert store._reader is not None
        ticks = [0]
        store._reader.set_progress_handler(lambda ticks=ticks: ticks.__setitem__(0, ticks[0] + 1) or False, 10)  # type: ignore[misc]
        found = await store.counts()
        await store.queues()
        await store.next_wake()
        assert found["runs"] == found["events"] == count
        costs.append(ticks[0])
        await store.close()
    assert 0 < costs[1] <= costs[0] + 10, costs


async def test_numbers_are_those_of_the_rows(store: SqliteStore) -> None:
    """They are kept up with each commit; counting the rows gives the same."""
    for number in range(9):
        await accept(store, start(f"run_{number}", begun=live() if number % 2 else None), id=f"evt_{number}")
    await store.push([QueueMessage(id=f"msg_{number}", queue="q", data=number, at=5.0 + number) for number in range(4)])
    await store.push([QueueMessage(id="msg_0", queue="q", data=0, at=5.0)])
    claimed = await store.claim(OWNER, 2, 1000.0)
    await store.append(claimed[0].claim, 0, Effects(change=Change(status=Status.waiting, at=200.0, release=True)))
    await store.append(claimed[1].claim, 0, Effects(change=Change(status=Status.failed, at=200.0)))
    found = await store.counts()
    counted = await store._read(
        lambda db: dict(db.execute("SELECT status, count(*) FROM runs WHERE ended IS NULL GROUP BY status"))
    )
    assert {k: n for k, n in found.items() if k not in ("runs", "events")} == counted
    (queue,) = await store.queues()
    assert (queue.name, queue.waiting, queue.active, queue.oldest) == ("q", 4, 0, 5.0)
    await store.close()
    await store.open()
    assert await store.counts() == found and await store.queues() == [queue]


async def test_a_count_takes_the_events_of_the_dropped_runs_along(store: SqliteStore) -> None:
    await accept(store, start("run_alive", begun=live()), id="evt_alive")
    for number in range(60):
        await accept(store, start(f"run_{number}", begun=over()), id=f"evt_{number}")
    while await store.prune(200.0, Retention(count=10), 7):
        pass
    found = await store.counts()
    assert found["running"] == 1
    assert [run.id for run in (await store.runs(RunFilter(), None, 100)).items] == [
        f"run_{n}" for n in range(59, 49, -1)
    ] + ["run_alive"]
    events = [event.id for event in (await store.events(None, 100)).items]
    assert events == [f"evt_{n}" for n in range(59, 49, -1)] + ["evt_alive"]


async def test_an_event_that_another_run_has_stays_with_a_count(store: SqliteStore) -> None:
    await accept(store, start("run_a", begun=over()), start("run_b", begun=live()), id="evt_1")
    await accept(store, start("run_c", begun=over()), id="evt_2")
    while await store.prune(200.0, Retention(count=1), 7):
        pass
    assert await store.run("run_a") is None and await store.event("evt_1") is not None


async def test_bytes_count_payloads_too(store: SqliteStore) -> None:
    for number in range(8):
        await accept(store, start(f"run_{number}", begun=over()), id=f"evt_{number}", data=[number, BIG])
    await store.sweep()
    total = store._payloads.total
    assert total > 8 * 64 * 1024
    while await store.prune(200.0, Retention(bytes=total // 2 + 200_000), 2):
        pass
    left = [event.id for event in (await store.events(None, 100)).items]
    assert left and left == [f"evt_{n}" for n in range(7, 7 - len(left), -1)] and len(left) < 8
    assert store._payloads.total < total


async def test_spent_keys_go_a_few_at_a_time(store: SqliteStore) -> None:
    for number in range(25):
        await accept(store, start(f"run_{number}", begun=live()), id=f"evt_{number}", key=f"k{number}")
    removed = []
    while count := await store.prune(1e9, Retention(age=1e12), 10):
        removed.append(count)
    assert removed == [10, 10, 5]


async def test_many_that_wait_for_a_slot_cost_the_next_nothing(tmp_path: Path, anyio_backend: str) -> None:
    costs = []
    for waiting in (20, 2_000):
        store = SqliteStore(tmp_path / str(waiting), 0)
        await store.open()
        for number in range(waiting):
            await accept(store, start(f"run_{number}", concurrency_key="k", waiting=10**6), id=f"evt_{number}")
        steps = Steps(store)
        more = start("run_more", concurrency_key="k", when_busy="latest")
        costs.append(await steps.of(accept(store, more, id="evt_more")))
        (claimed,) = await store.claim(OWNER, 1, 1000.0)
        end = Change(status=Status.succeeded, at=200.0)
        costs.append(await steps.of(store.append(claimed.claim, 0, Effects(change=end))))
        assert [one.record.id for one in await store.claim(OWNER, 5, 1000.0)] == ["run_1"]
        await store.close()
    assert costs[2] <= costs[0] + 100 and costs[3] <= costs[1] + 100, costs
