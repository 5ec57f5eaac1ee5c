"""Payloads beside the rows: content-addressed, collected with their rows, swept after a crash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from reactor.contracts.event import Upload
from reactor.contracts.store import Acceptance, Claim, Retention
from reactor.store.payloads import Payloads
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import BIG, OWNER, accept, event, joined, live, over, start

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "payloads").rglob("*") if path.is_file()]


async def test_equal_ones_are_kept_once_and_go_with_the_last_row(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, 0)
    await store.open()
    for number in range(3):
        await accept(store, start(f"run_{number}", begun=over(BIG)), id=f"evt_{number}")
    await accept(store, id="evt_9", at=5000.0, data=BIG)
    assert len(files(tmp_path)) == 2, "three equal outputs, one event"
    assert (tmp_path / "reactor.db").stat().st_size < 200_000
    while await store.prune(4000.0, Retention(age=10.0), 2):
        pass
    left = await store.event("evt_9")
    assert left is not None and left.event.data == BIG and len(files(tmp_path)) == 1
    while await store.prune(9000.0, Retention(age=10.0), 100):
        pass
    assert not files(tmp_path)
    await store.close()


async def test_an_upload_becomes_a_payload_of_its_event(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, 0)
    await store.open()
    store.payloads.incoming.mkdir(parents=True)
    upload = store.payloads.incoming / "one"
    upload.write_bytes(b"file")
    sha256 = hashlib.sha256(b"file").hexdigest()
    await store.accept(Acceptance(event=event(), uploads=[Upload(str(upload), sha256, 4)], owner=OWNER))
    assert store.payloads.path(sha256).read_bytes() == b"file" and not upload.exists()
    while await store.prune(9000.0, Retention(age=10.0), 100):
        pass
    assert not files(tmp_path)
    await store.close()


async def test_what_a_crash_left_is_swept(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, 0)
    await store.open()
    await accept(store, data=BIG)
    orphan = Payloads(tmp_path / "payloads").path("ab" + "0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    fresh = orphan.with_name("1" * 62)
    for path in (orphan, fresh):
        path.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    for path in files(tmp_path):
        if path not in (orphan, fresh):
            os.utime(path, (1, 1))
    (tmp_path / "payloads/incoming/left").write_bytes(b"x")
    assert await store.sweep() == 1
    stored = await store.event("evt_1")
    assert not orphan.exists() and fresh.exists() and stored is not None and stored.event.data == BIG
    await store.close()
    await store.open()
    assert not (tmp_path / "payloads/incoming/left").exists()
    await store.close()


async def test_a_damaged_payload_quarantines_its_run_and_is_said_to_people(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, 0)
    await store.open()
    await accept(store, start("run_1", begun=live()), start("run_2", begun=over(BIG)), data={"a": "y" * 100_000})
    await store.release(Claim("run_1", OWNER, 1), 0.0)
    for path in files(tmp_path):
        path.write_bytes(b"damage")
    assert await store.claim(await joined(store, "own_2"), 10, 200.0) == []
    record = await store.run("run_1")
    assert record is not None and record.status == "paused" and record.error and record.error["type"] == "corrupt"
    other = await store.run("run_2")
    assert other is not None and "damaged" in other.output["$lost"]
    stored = await store.event("evt_1")
    assert stored is not None and "damaged" in str(stored.invalid)
    await store.close()


async def test_no_room_for_a_payload_is_a_full_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from reactor.contracts.errors import StoreFull

    store = SqliteStore(tmp_path, 0)
    await store.open()
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        await accept(store, data=BIG)
    assert await store.event("evt_1") is None and not files(tmp_path)
    monkeypatch.setattr(os, "fsync", real)
    while True:
        try:
            await accept(store, data=BIG)
            break
        except StoreFull:
            continue
    await store.close()
