"""The data directory: one process, closed to others, and nothing begun anew over a loss."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.contracts.errors import ConfigError, StoreFailed
from reactor.store.sqlite.backup import backup, restore
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import BIG, accept, over, start

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


async def test_all_files_are_for_the_owner_only(tmp_path: Path, open_umask: object) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    store = SqliteStore(folder)
    await store.open()
    await accept(store, start("run_1", begun=over(BIG)), data=[1, BIG])
    await store.sweep()
    found = modes(folder)
    assert {"reactor.db", "reactor.db-wal", "reactor.db-shm", "reactor.lock", "reactor.reserve"} <= set(found)
    wide = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert not wide and stat.S_IMODE(folder.stat().st_mode) == 0o700
    await store.close()
    assert not {name for name, mode in modes(folder).items() if mode & 0o077}


async def test_what_others_made_is_closed(tmp_path: Path, open_umask: object) -> None:
    folder = tmp_path / "data"
    store = SqliteStore(folder)
    await store.open()
    await accept(store, data=[1, BIG])
    await store.close()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    await store.open()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await store.sweep()
    assert not {name for name, mode in modes(folder).items() if mode & 0o077}
    backup(folder, tmp_path / "copy.tar")
    assert stat.S_IMODE((tmp_path / "copy.tar").stat().st_mode) == 0o600
    await store.close()
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert stat.S_IMODE((tmp_path / "again").stat().st_mode) == 0o700
    assert not {name for name, mode in modes(tmp_path / "again").items() if mode & 0o077}


async def test_a_shared_directory_is_not_taken_from_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved", "deleted while idle"])
async def test_a_lock_that_is_gone_is_noticed_before_anything_is_written(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "data"
    store = SqliteStore(folder)
    await store.open()
    await accept(store, start("run_1", begun=over()), id="evt_1")
    lock = folder / "reactor.lock"
    before = (folder / "reactor.db").read_bytes(), (folder / "reactor.db-wal").read_bytes()
    real = folder
    if how == "moved":
        real = folder.rename(tmp_path / "elsewhere")
        folder.mkdir()
    elif how == "replaced":
        lock.unlink()
        lock.write_text("1\n")
    else:
        lock.unlink()
    if how != "deleted while idle":
        with pytest.raises(StoreFailed, match=r"reactor\.lock was|data was"):
            await accept(store, start("run_2", begun=over()), id="evt_2")
        assert store.health() is not None
    await store.close()
    assert ((real / "reactor.db").read_bytes(), (real / "reactor.db-wal").read_bytes()) == before


async def test_a_second_one_is_refused_also_without_the_lock_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    with pytest.raises(ConfigError, match=f"another reactor .pid {os.getpid()}. uses the data directory"):
        await SqliteStore(tmp_path).open()
    (tmp_path / "reactor.lock").unlink()
    with pytest.raises(ConfigError, match="another reactor"):
        await SqliteStore(tmp_path).open()
    await store.close()
    await store.open()
    await store.close()


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
async def test_a_lock_that_is_something_else_is_one_line(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "reactor.lock"
    if kind == "directory":
        lock.mkdir()
    elif kind == "link":
        lock.symlink_to(tmp_path / "nowhere")
    else:
        os.mkfifo(lock)
    with pytest.raises(ConfigError, match=f"the lock file {lock} cannot be used") as caught:
        await SqliteStore(tmp_path).open()
    assert "\n" not in str(caught.value)
    (tmp_path / "flows").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "reactor", "run", "--data", str(tmp_path), "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr and "the lock file" in done.stderr


@pytest.mark.parametrize("state", ["missing", "empty"])
async def test_a_database_that_is_lost_beside_its_payloads_is_refused(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "data"
    store = SqliteStore(folder)
    await store.open()
    await accept(store, start("run_1", begun=over()), data=[1, BIG])
    await store.close()
    backup(folder, tmp_path / "copy.tar")
    (folder / "reactor.db").unlink()
    if state == "empty":
        (folder / "reactor.db").touch()
    with pytest.raises(ConfigError, match=f"is {state}, but .*payloads is there: .*reactor restore"):
        await store.open()
    assert not (folder / "reactor.db").exists() or not (folder / "reactor.db").stat().st_size
    restore(tmp_path / "copy.tar", folder)
    await store.open()
    found = await store.event("evt_1")
    assert found is not None and found.event.data == [1, BIG]
    await store.close()


async def test_a_database_that_is_gone_beside_its_log_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "reactor.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match=r"is missing, but .*reactor\.db-wal is there"):
        await SqliteStore(folder).open()
