"""What cannot be read is not gone: a folder that is away for a while starts nothing twice."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from plugins.actions.archive import Create
from plugins.actions.file import List
from reactor.contracts.errors import NotConnected
from reactor.testing.trigger_suite import Recorder
from tests.plugins.test_file import call, context
from tests.waiting import soon
from triggers.files import Files, Options

pytestmark = pytest.mark.anyio


def files(**given: Any) -> Files:
    changes = ["created", "modified", "deleted", "moved"]
    options = {"path": "in/**/*.csv", "events": changes, "settle": "0s", "poll": "100ms", **given}
    return Files(msgspec.convert(options, Options))


@asynccontextmanager
async def listening(folder: Path, position: dict[str, Any]) -> AsyncIterator[Recorder]:
    made = Recorder(position, folder=str(folder))
    async with anyio.create_task_group() as group:
        group.start_soon(files().listen, made)
        with anyio.fail_after(10):
            await made.is_ready.wait()
        yield made
        group.cancel_scope.cancel()


class Broken:
    """`os.scandir`, which fails for some folders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: dict[str, OSError] = {}
        self.asked = 0
        plain = os.scandir

        def scandir(path: str) -> Any:
            error = self.folders.get(path)
            if error is not None:
                self.asked += 1
                raise error
            return plain(path)

        monkeypatch.setattr("triggers.files.os.scandir", scandir)


async def test_a_folder_that_cannot_be_read_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in/far").mkdir(parents=True)
    (tmp_path / "in/far/a.csv").write_text("a")
    (tmp_path / "in/b.csv").write_text("b")
    broken = Broken(monkeypatch)
    async with listening(tmp_path, {}) as made:
        await made.wait_events(2)
        broken.folders[str(tmp_path / "in/far")] = PermissionError(13, "Permission denied")
        await soon(lambda: broken.asked >= 3, "it does not look again", 10)
        assert made.warning == f"{tmp_path}/in/far/ cannot be read: Permission denied"
        (tmp_path / "in/c.csv").write_text("c")
        await made.wait_events(3)
        broken.folders.clear()
        (tmp_path / "in/b.csv").unlink()
        events = await made.wait_events(4)
        await soon(lambda: made.warning is None, "the warning stays", 10)
    told = sorted((event.type, event.fields["name"]) for event in events)
    assert told == [("file.created", "a.csv"), ("file.created", "b.csv"), ("file.created", "c.csv"), ("file.deleted", "b.csv")]  # fmt: skip


async def test_a_root_that_cannot_be_read_ends_the_listening_and_keeps_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("a")
    position: dict[str, Any] = {}
    async with listening(tmp_path, position) as made:
        await made.wait_events(1)
    known = dict(position)
    broken = Broken(monkeypatch)
    broken.folders[str(tmp_path / "in")] = OSError(5, "Input/output error")
    with pytest.raises(NotConnected, match="in cannot be read: Input/output error"), anyio.fail_after(10):
        await files().listen(Recorder(position, folder=str(tmp_path)))
    assert position == known
    broken.folders.clear()
    async with listening(tmp_path, position) as made:
        (tmp_path / "in/b.csv").write_text("b")
        assert [event.fields["name"] for event in await made.wait_events(1)] == ["b.csv"]


BAD = b"bad\xff.csv"


def named(path: bytes) -> Path:
    return Path(os.fsdecode(path))


async def test_a_name_that_is_not_utf8_is_an_event_and_its_neighbours_go_on(tmp_path: Path) -> None:
    """Also while the kernel's notices come: the library that gives them cannot say such a name."""
    folder = os.fsencode(tmp_path / "in")
    named(folder + b"/sub\xfe").mkdir(parents=True)
    position: dict[str, Any] = {}
    async with listening(tmp_path, position) as made:
        (tmp_path / "in/a.csv").write_text("a")
        await made.wait_events(1)
        named(folder + b"/sub\xfe/" + BAD).write_text("bad")
        event = (await made.wait_events(2))[1]
        assert event.fields["name"] == "bad\\xff.csv"
        assert event.fields["name_bytes"] == base64.b64encode(BAD).decode()
        assert event.fields["path"] == f"{tmp_path}/in/sub\\xfe/bad\\xff.csv" == event.subject
        assert base64.b64decode(event.fields["path_bytes"]) == folder + b"/sub\xfe/" + BAD
        (tmp_path / "in/b.csv").write_text("b")
        await made.wait_events(3)
        named(folder + b"/sub\xfe/" + BAD).rename(named(folder + b"/c\xfd.csv"))
        moved = (await made.wait_events(4))[3]
        assert (moved.type, moved.fields["name"]) == ("file.moved", "c\\xfd.csv")
        assert moved.fields["from"].endswith("/sub\\xfe/bad\\xff.csv") and "from_bytes" in moved.fields
        named(folder + b"/c\xfd.csv").unlink()
        assert (await made.wait_events(5))[4].type == "file.deleted"
        named(folder + b"/d\xfd.csv").write_text("d")
        await made.wait_events(6)
        known = msgspec.json.decode(msgspec.json.encode(position))
    async with listening(tmp_path, known) as made:
        (tmp_path / "in/e.csv").write_text("e")
        assert [event.fields["name"] for event in await made.wait_events(1)] == ["e.csv"], (
            "nothing is new after a restart"
        )


async def test_notices_come_again_after_such_a_name(tmp_path: Path) -> None:
    """Without the looks of `poll`: the watcher itself goes on."""
    (tmp_path / "in").mkdir()
    made = Recorder({}, folder=str(tmp_path))
    async with anyio.create_task_group() as group:
        group.start_soon(files(poll="1h").listen, made)
        with anyio.fail_after(10):
            await made.is_ready.wait()
        for number in range(3):
            named(os.fsencode(tmp_path) + b"/in/%d\xff.csv" % number).write_text("x")
            await made.wait_events(2 * number + 1)
            (tmp_path / f"in/{number}.csv").write_text("x")
            await made.wait_events(2 * number + 2)
        group.cancel_scope.cancel()


async def test_a_watcher_that_breaks_leaves_polling_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    (tmp_path / "in").mkdir()

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watchfiles, "awatch", broken)
    async with listening(tmp_path, {}) as made:
        (tmp_path / "in/a.csv").write_text("a")
        await made.wait_events(1)
        await soon(lambda: made.warning is not None, "there is no warning", 10)
        assert made.warning == "no notices of changes, so a look each 100ms: [Errno 28] inotify watch limit reached"


@pytest.mark.parametrize(("moment", "said"), [(10**12, "9999-12-31T23:59:59"), (-(10**12), "0001-01-01T00:00:00")])
async def test_a_file_of_another_era_stops_nothing(moment: int, said: str) -> None:
    """File systems keep years that no timestamp has: an archive or a copy brings them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # tmpfs has 64 bits of seconds
        (Path(folder) / "in").mkdir()
        position: dict[str, Any] = {}
        async with listening(Path(folder), position) as made:
            path = Path(folder, "in/far.csv.partial")
            path.write_text("far")
            os.utime(path, (moment, moment))
            path.rename(Path(folder, "in/far.csv"))
            event = (await made.wait_events(1))[0]
            assert event.fields["modified"].startswith(said)
            Path(folder, "in/near.csv").write_text("near")
            await made.wait_events(2)
        known = msgspec.json.decode(msgspec.json.encode(position))
        async with listening(Path(folder), known) as made:
            Path(folder, "in/next.csv").write_text("next")
            assert [one.fields["name"] for one in await made.wait_events(1)] == ["next.csv"]
        listed = await call(List, context(Path(folder)), path="in")
        assert said in [one["modified"][:19] for one in listed["files"]]
        for format in ("zip", "tar"):
            await call(Create, context(Path(folder)), path="in", to=f"made.{format}")
