"""Each of the first I/O calls fails once: nothing that was acknowledged is ever missing afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from reactor.contracts.errors import ConfigError, StoreFailed, StoreFull
from reactor.store.sqlite.store import SqliteStore, library_is_safe
from reactor.testing.store_parts import accept, over, start

CALLS = 70


class Faults(apsw.VFS):
    """Counts writes, syncs and truncations, and fails one of them."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__("faults", "")
        self.error = error
        self.count = 0
        self.fail_at = 0

    def xOpen(self, name: Any, flags: Any) -> Any:
        return _File(self, name, flags)

    def tick(self, call: str) -> None:
        self.count += 1
        if self.count == self.fail_at:
            raise self.error(f"planted in {call}")


class _File(apsw.VFSFile):
    def __init__(self, faults: Faults, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self._faults = faults

    def xWrite(self, data: bytes, offset: int) -> None:
        self._faults.tick("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._faults.tick("sync")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:
        self._faults.tick("truncate")
        super().xTruncate(size)


@pytest.mark.anyio
@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_no_false_acknowledgement(tmp_path: Path, anyio_backend: str, error: type[Exception]) -> None:
    faults = Faults(error)
    hit = 0
    for fail_at in range(1, CALLS):
        folder = tmp_path / str(fail_at)
        faults.count, faults.fail_at = 0, fail_at
        acknowledged: list[str] = []
        store = SqliteStore(folder, floor=0, vfs="faults")
        hints: list[bool] = []
        store.watch(lambda told, hints=hints: hints.append(told.due))  # type: ignore[misc]
        try:
            await store.open()
            for number in range(8):
                try:
                    await accept(
                        store, start(f"run_{number}", begun=over("x" * 500)), id=f"evt_{number}", key=f"k{number}"
                    )
                    acknowledged.append(f"run_{number}")
                except StoreFull:
                    continue
                except StoreFailed:
                    with pytest.raises(StoreFailed):
                        await accept(store, start("run_after", begun=over()), id="evt_after")
                    assert any(hints), "the engine was not told to look, so the daemon would not end"
                    break
        except ConfigError:
            pass
        finally:
            try:
                await store.close()
            except (apsw.Error, AttributeError):
                store._lock.release()
        hit += faults.count >= fail_at
        faults.fail_at = 0
        again = SqliteStore(folder, floor=0)
        await again.open()
        for id in acknowledged:
            assert await again.run(id) is not None, (fail_at, id)
        await again.close()
    assert hit > 20, "the faults were not reached"


def test_the_version_gate() -> None:
    for version, safe in (
        ((3, 40, 1), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 50, 7), True),
        ((3, 50, 6), False),
        ((3, 54, 0), True),
    ):
        assert library_is_safe(version) is safe


@pytest.mark.anyio
async def test_a_damaged_journal_record_quarantines_its_run_alone(tmp_path: Path, anyio_backend: str) -> None:
    from reactor.contracts.journal import Started
    from reactor.testing.store_parts import joined, live

    store = SqliteStore(tmp_path, floor=0)
    await store.open()
    for number in range(3):
        await accept(store, start(f"run_{number}", begun=live(Started("do/0", 100.0, 1))), id=f"evt_{number}")
    assert store._writer is not None
    await store.close()
    writer = apsw.Connection(str(tmp_path / "reactor.db"))
    writer.execute("UPDATE journal SET entries = x'5b5d' WHERE run = 'run_1'")
    writer.close()
    await store.open()
    claimed = await store.claim(await joined(store, "own_2"), 10, 1e9)
    assert [one.record.id for one in claimed] == ["run_0", "run_2"]
    record = await store.run("run_1")
    assert record is not None and record.status == "paused" and record.error is not None
    assert record.error["type"] == "corrupt"
    await store.close()


@pytest.mark.anyio
async def test_a_store_over_its_bytes_drops_ended_runs_and_their_events_first(
    tmp_path: Path, anyio_backend: str
) -> None:
    from reactor.contracts.store import Retention
    from reactor.testing.store_parts import live

    store = SqliteStore(tmp_path, floor=0)
    await store.open()
    await accept(store, start("run_alive", begun=live()), id="evt_alive")
    for number in range(30):
        await accept(store, start(f"run_{number}", begun=over("x" * 1000)), id=f"evt_{number}")
    while await store.prune(200.0, Retention(age=1e9, bytes=1), 7):
        pass
    assert (await store.counts())["runs"] == 1
    assert await store.run("run_alive") is not None and await store.event("evt_alive") is not None
    assert await store.event("evt_0") is None
    await store.close()
