"""The store suite over every store, and over the fault-injecting wrapper."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reactor.contracts.errors import StoreFull
from reactor.contracts.plan import BOUNDS
from reactor.store.memory.store import MemoryStore
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.faults import FaultyStore
from reactor.testing.store_parts import accept, joined, over, start
from reactor.testing.store_suite import CHECKS
from tests.waiting import soon


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Any]:
    made: Any = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path, floor=0)
    await made.open()
    yield made
    await made.close()


@pytest.mark.anyio
@pytest.mark.parametrize("name", CHECKS)
async def test_store(store: Any, name: str) -> None:
    await CHECKS[name](store)


@pytest.mark.anyio
@pytest.mark.parametrize("name", CHECKS)
async def test_store_under_faults(store: Any, name: str) -> None:
    faulty = FaultyStore(store, seed=len(name))
    await CHECKS[name](faulty)


@pytest.mark.anyio
async def test_a_really_full_file_refuses_loses_nothing_and_recovers(tmp_path: Path, anyio_backend: str) -> None:
    store = SqliteStore(tmp_path, floor=0)
    await store.open()
    await accept(store, start("run_0", begun=over()), id="evt_0")
    assert store._writer is not None
    pages = int(store._writer.pragma("page_count"))
    store._writer.pragma("max_page_count", pages + 4)
    kept = ["run_0"]
    with pytest.raises(StoreFull):
        for number in range(1, 100):
            await accept(store, start(f"run_{number}", begun=over("x" * 3000)), id=f"evt_{number}")
            kept.append(f"run_{number}")
    assert store.health() == "the disk is full"
    store._writer.pragma("max_page_count", 1_000_000)

    async def goes_in() -> bool:
        with contextlib.suppress(StoreFull):
            await accept(store, start("run_after", begun=over()), id="evt_after")
            return True
        return False

    await soon(goes_in, "the store stays full")
    assert store.health() is None
    for id in [*kept, "run_after"]:
        assert await store.run(id) is not None, id
    await store.close()


@pytest.mark.anyio
async def test_a_run_keeps_the_bounds_and_variables_of_its_start(store: Any) -> None:
    odd = {"A": "b", "ODD": "x\udcff\ud83d"}
    await accept(store, start("run_1", begun=over()), start("run_2", environment=odd), start("run_3", bounds=1))
    for id, bounds, environment in (("run_1", BOUNDS, {}), ("run_2", BOUNDS, odd), ("run_3", 1, {})):
        record = await store.run(id)
        assert (record.bounds, record.environment) == (bounds, environment)
    claimed = {one.record.id: one.record for one in await store.claim(await joined(store), 10, 1e9)}
    assert claimed["run_2"].environment == odd and claimed["run_3"].bounds == 1
