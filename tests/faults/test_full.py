"""While the disk is full the daemon does not end: flows, parked runs and its own events wait for room."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from reactor.catalog.catalog import Catalog
from reactor.contracts.errors import StepFailed, StoreFull
from reactor.contracts.facts import Fact
from reactor.contracts.run import Status
from reactor.contracts.store import Retention
from reactor.engine.pool import Pool
from reactor.engine.runner import Runner
from reactor.kit.clock import SystemClock
from reactor.lending.action_memory import ActionMemory
from reactor.store.memory.store import MemoryStore
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import accept, over, start
from tests.daemon import Daemon, eventually
from tests.flows_help import KINDS, versions
from tests.waiting import soon

pytestmark = pytest.mark.anyio


class FullStore(MemoryStore):
    """Refuses these writes until there is room."""

    def __init__(self, *writes: str) -> None:
        super().__init__()
        self.refused = 0
        self.room = False
        for name in writes:
            setattr(self, name, self._refusing(getattr(self, name)))

    def _refusing(self, method: Any) -> Any:
        async def write(*arguments: Any, **named: Any) -> Any:
            if not self.room:
                self.refused += 1
                raise StoreFull("the disk is full", 0.01)
            return await method(*arguments, **named)

        return write


class Facts:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def observe(self, fact: Fact) -> None:
        self.seen.append(fact.NAME)


async def test_flows_that_change_are_installed_when_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: []\n")
    store, facts = FullStore("save_plan"), Facts()
    catalog = Catalog([tmp_path], KINDS, versions(store), SystemClock(), facts)
    await catalog.refresh()
    assert not catalog.flows.plans and "store.full" in facts.seen
    store.room = True
    await catalog.refresh()
    assert set(catalog.flows.plans) == {"one"}
    store.room = False
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: [{set: {a: 1}}]\n")
    before = catalog.flows.plans["one"].version
    await catalog.refresh()
    assert catalog.flows.plans["one"].version == before, "the last good version runs on"
    store.room = True
    await catalog.refresh()
    assert catalog.flows.plans["one"].version != before


async def test_a_run_that_cannot_go_on_is_parked_when_there_is_room() -> None:
    """Its flow's version is gone: that it waits for a person is written, however long there is no room for it."""
    store, facts = FullStore("append"), Facts()
    await accept(store, start())

    async def plan(version: str) -> None:
        return None

    def runner(pool: Pool) -> Runner:
        nothing: Any = None
        return Runner(store, nothing, nothing, SystemClock(), facts, nothing)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            pool = Pool(group, store, SystemClock(), facts, plan, "owner", runner)
            group.start_soon(pool.run)
            await soon(lambda: store.refused >= 3, "nothing was refused")
            store.room = True

            async def paused() -> bool:
                record = await store.run("run_1")
                return record is not None and record.status is Status.paused

            await soon(paused, "the run is not paused")
            group.cancel_scope.cancel()
    record = await store.run("run_1")
    assert record is not None and record.error is not None and record.error["type"] == "plan.missing"
    assert "store.full" in facts.seen


async def test_what_an_action_keeps_fails_its_step_alone() -> None:
    memory = ActionMemory(FullStore("move"), "webhook.send")
    with pytest.raises(StepFailed) as caught:
        await memory.set("a", 1)
    assert caught.value.retryable


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def fill(store: SqliteStore) -> int:
    """Ended runs until the store refuses; how many."""
    for number in range(10_000):
        try:
            await accept(store, start(f"run_{number}", begun=over("x" * 3000)), id=f"evt_{number}")
        except StoreFull:
            return number
    raise AssertionError("the disk never was full")


async def accepted(store: SqliteStore, name: str) -> None:
    """Accepting goes on by itself: a full store tries at each refusal."""

    async def goes_in() -> bool:
        with contextlib.suppress(StoreFull):
            await accept(store, start(f"run_{name}", begun=over()), id=f"evt_{name}")
            return True
        return False

    await soon(goes_in, "the store stays full")


@pytest.mark.parametrize("floor", [1, 2 * 1024 * 1024])
@pytest.mark.parametrize("rest", ["nothing", "ballast"])
async def test_a_full_disk_heals_by_retention(volume: Path, floor: int, rest: str) -> None:
    """Free pages are room, also after a restart; the file gives them back in steps that a full disk has room for."""
    store = SqliteStore(volume, floor)
    await store.open()
    count = await fill(store)
    assert count > 300 and store.health() is not None
    if rest == "ballast":  # somebody else takes all that is left
        with (volume / "ballast").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)
    size = (volume / "reactor.db").stat().st_size
    with anyio.fail_after(60):
        while (await store.counts())["runs"]:
            try:
                await store.prune(1e9, Retention(age=1.0), 500)
            except StoreFull:
                continue
        await accepted(store, "after")
    assert store.health() is None
    await store.close()
    store = SqliteStore(volume, floor)
    await store.open()
    assert store.health() is None
    await accepted(store, "again")
    if rest == "nothing":
        while await store.prune(150.0, Retention(), 500):
            pass
        assert (volume / "reactor.db").stat().st_size < size / 4
    await store.close()


async def test_the_daemon_keeps_half_of_its_volume_free_and_heals(volume: Path, tmp_path: Path) -> None:
    """Nobody set a bound; the disk fills, and old runs go by themselves."""
    daemon = Daemon(tmp_path, "--disk-floor", "1MiB")
    daemon.flow("hello.yaml", "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{set: {a: '${{ event.body }}'}}]\n")
    with daemon:

        def full() -> bool:
            return any(daemon.post("/hooks/hello", {"pad": "x" * 50_000}).status == 503 for _ in range(20))

        eventually(full, 30, "the disk never was full")
        for _ in range(2):
            eventually(lambda: daemon.post("/hooks/hello", {}).status == 202, 30, "it does not heal")
            eventually(lambda: daemon.get("/readyz")["store"] == "ok", 30, "it is not ready")
            assert daemon.stop() == 0
            daemon.start()
        daemon.stop()
