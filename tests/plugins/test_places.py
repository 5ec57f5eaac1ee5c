"""Where actions reach: links that are swapped meanwhile, names that are not UTF-8, names that are too long."""

from __future__ import annotations

import base64
import ctypes
import io
import itertools
import multiprocessing
import os
import tarfile
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plugins.actions import archive, email, text
from plugins.actions import csv as csv_actions
from plugins.actions import file as actions
from plugins.actions import json as json_actions
from plugins.actions import xml as xml_actions
from plugins.actions import yaml as yaml_actions
from plugins.actions._place import Place
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio


def swap(folder: str, link: str, started: Any) -> None:
    """Exchanges the folder and a link to elsewhere, without a moment between, at an uneven pace."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, exchange = -100, 2
    for turn in itertools.count():
        for _ in range(turn * 7919 % 20_000):
            pass
        assert libc.renameat2(here, os.fsencode(folder), here, os.fsencode(link), exchange) == 0, ctypes.get_errno()
        started.set()


@contextmanager
def racing(root: Path) -> Iterator[None]:
    """`root/sub` is a folder, and again and again a link to `elsewhere`."""
    (root / "sub").mkdir(parents=True, exist_ok=True)
    (root.parent / "elsewhere").mkdir(exist_ok=True)
    link = root.parent / "link"
    link.symlink_to(root.parent / "elsewhere")
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    process = spawn.Process(target=swap, args=(str(root / "sub"), str(link), started), daemon=True)
    process.start()
    try:
        assert started.wait(60)
        yield
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


async def attempts(wanted: int, *acts: Callable[[int], Awaitable[Any]]) -> None:
    """Until so many of each act went through, and so many found a link or nothing."""
    for act in acts:
        good = refused = number = 0
        while good < wanted or refused < wanted:
            number += 1
            assert number < 10_000, "it was never a link, or never a folder"
            try:
                await act(number)
                good += 1
            except StepFailed as error:
                assert error.type in ("file.path", "file.not_found", "file.content"), error
                refused += 1


async def test_nothing_is_written_outside_under_a_race_of_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    both = context(tmp_path, {"path": "root/", "to": "root/"})
    into = context(tmp_path, {"to": "root/"})
    (tmp_path / "source.csv").write_text("a\n1\n")
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as made:
        made.writestr("inner/z.txt", "z")

    async def move(number: int) -> None:
        (tmp_path / "moved").write_text("moved")
        await call(actions.Move, into, path="moved", to=f"root/sub/m{number}")

    with racing(root):
        await attempts(
            15,
            lambda n: call(actions.Write, both, path=f"root/sub/w{n}", text="x"),
            lambda n: call(actions.Write, both, path=f"root/sub/deep{n}/w", text="x"),
            lambda n: call(actions.Append, both, path=f"root/sub/a{n}", text="x"),
            lambda n: call(actions.Copy, into, path="source.csv", to=f"root/sub/c{n}"),
            move,
            lambda n: call(csv_actions.Convert, into, path="source.csv", to=f"root/sub/v{n}.json"),
            lambda n: call(csv_actions.Write, both, path=f"root/sub/r{n}.csv", rows=[[1]]),
            lambda n: call(text.Filter, into, path="source.csv", to=f"root/sub/f{n}", pattern="1"),
            lambda n: call(text.Split, into, path="source.csv", to=f"root/sub/s{n}-{{}}", lines=1),
            lambda n: call(archive.Extract, into, path="one.zip", to=f"root/sub/x{n}"),
            lambda n: call(archive.Create, into, path="source.csv", to=f"root/sub/n{n}.zip"),
        )
    assert list((tmp_path / "elsewhere").rglob("*")) == []


async def test_nothing_is_read_outside_under_a_race_of_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    here = context(tmp_path, {"path": "root/"})
    found: list[str] = []
    for folder, held in (("elsewhere", '"secret"'), ("root/sub", '"good"')):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.txt").write_text(held)
    (tmp_path / "elsewhere/only").touch()
    with racing(root):

        async def read(number: int) -> None:
            kinds = (actions.Read, text.Lines, json_actions.Read)
            found.append(str(await call(kinds[number % 3], here, path="root/sub/a.txt")))

        async def look(number: int) -> None:
            listed = await call(actions.List, here, path="root/", pattern="**/*")
            found.extend(one["name"] for one in listed["files"])
            listed = await call(actions.List, here, path="root/sub", pattern="*")
            found.extend(one["name"] for one in listed["files"])

        await attempts(30, read, look)
    assert found and [one for one in found if "secret" in one or one == "only"] == []


@pytest.mark.parametrize("followed", ["sub/file.txt", "end.txt"])
async def test_links_below_the_root_are_refused_by_every_reader(tmp_path: Path, followed: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file.txt").write_text("secret")
    (tmp_path / "in/sub").symlink_to(tmp_path / "out")
    (tmp_path / "in/end.txt").symlink_to(tmp_path / "out/file.txt")
    here = context(tmp_path, {"path": "in/", "attach.0.path": "in/", "to": "done/"})
    path = f"in/{followed}"
    acts: list[tuple[Any, dict[str, Any]]] = [
        (actions.Read, {"path": path}), (actions.Copy, {"path": path, "to": "done/x"}),
        (csv_actions.Read, {"path": path}), (json_actions.Read, {"path": path}), (yaml_actions.Read, {"path": path}),
        (xml_actions.Read, {"path": path, "element": "a"}), (text.Lines, {"path": path}),
        (text.Filter, {"path": path, "to": "done/x", "pattern": "s"}), (archive.List, {"path": path, "format": "zip"}),
        (archive.Create, {"path": path, "to": "done/x.zip"}), (csv_actions.Convert, {"path": path, "to": "done/x"}),
    ]  # fmt: skip
    for cls, options in acts:
        with pytest.raises(StepFailed) as caught:
            await call(cls, here, **options)
        assert caught.value.type == "file.path" and "link" in str(caught.value), cls
        assert not caught.value.retryable
    with pytest.raises(StepFailed, match="link"):
        await email._attachment(email.Attachment(path=path), 0, here)
    assert not (tmp_path / "done").exists() or not list((tmp_path / "done").iterdir())


async def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for cls in (actions.Read, text.Lines):
        with pytest.raises(StepFailed, match="not a regular file") as caught:
            await call(cls, context(tmp_path), path="pipe")
        assert not caught.value.retryable
    with pytest.raises(StepFailed) as caught:
        await call(actions.Append, context(tmp_path), path="pipe", text="x")
    assert not caught.value.retryable


def odd(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


async def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    here = context(tmp_path, {"path": "in/", "to": "out/"})
    (tmp_path / "in").mkdir()
    odd(tmp_path / "in", b"caf\xe9.txt").write_text("hot")
    odd(tmp_path / "in", b"lit\\xe9.txt").write_text("literal")
    listed = (await call(actions.List, here, path="in"))["files"]
    listed.sort(key=lambda one: str(one["name"]))
    assert [one["name"] for one in listed] == ["caf\\xe9.txt", "lit\\x5cxe9.txt"]
    assert base64.b64decode(listed[0]["name_bytes"]) == b"caf\xe9.txt" and "name_bytes" not in listed[1]
    assert base64.b64decode(listed[0]["path_bytes"]) == os.fsencode(tmp_path) + b"/in/caf\xe9.txt"
    here = context(tmp_path, {"path": f"{tmp_path}/", "to": "out/"})
    for one, held in zip(listed, ("hot", "literal"), strict=True):
        found = await call(actions.Read, here, path=one["path"])
        assert found["content"] == held and found["path"] == one["path"]
        assert (await call(text.Lines, here, path=one["path"]))["items"] == [held]
        made = await call(actions.Copy, here, path=one["path"], to=f"out/{one['name']}")
        assert made["name"] == one["name"]
        await call(actions.Append, here, path=made["path"], text="!")
        await call(actions.Write, here, path=made["path"] + ".new", text="n")
        moved = await call(actions.Move, here, path=made["path"], to=f"out/moved-{one['name']}")
        assert (await call(actions.Delete, here, path=moved["path"]))["deleted"] is True
    left = sorted(os.fsencode(one.name) for one in (tmp_path / "out").iterdir())
    assert left == [b"caf\xe9.txt.new", b"lit\\xe9.txt.new"]
    with pytest.raises(StepFailed, match=r"none\\xff") as caught:
        await call(actions.Read, here, path=f"{tmp_path}/none\\xff")
    str(caught.value).encode()


@pytest.mark.parametrize("format", ["zip", "tar", "tar.gz", "tar.xz"])
async def test_archives_of_names_that_are_not_utf8(tmp_path: Path, format: str) -> None:
    here = context(tmp_path)
    odd(tmp_path, b"in/sub\xfe").mkdir(parents=True)
    odd(tmp_path, b"in/sub\xfe/caf\xe9.txt").write_text("hot")
    odd(tmp_path, "in/Łódź.txt".encode()).write_text("cold")
    made = await call(archive.Create, here, path="in", to=f"made.{format}")
    assert made["count"] == 2
    listed = (await call(archive.List, here, path=f"made.{format}"))["files"]
    assert sorted(one["name"] for one in listed) == ["sub\\xfe/caf\\xe9.txt", "Łódź.txt"]
    bad = next(one for one in listed if "caf" in one["name"])
    assert base64.b64decode(bad["name_bytes"]) == b"sub\xfe/caf\xe9.txt"
    unpacked = await call(archive.Extract, here, path=f"made.{format}", to="out")
    assert odd(tmp_path, b"out/sub\xfe/caf\xe9.txt").read_text() == "hot"
    assert odd(tmp_path, "out/Łódź.txt".encode()).read_text() == "cold"
    assert f"{tmp_path}/out/sub\\xfe/caf\\xe9.txt" in unpacked["files"]
    there = context(tmp_path, {"path": f"{tmp_path}/"})
    assert {(await call(actions.Read, there, path=path))["content"] for path in unpacked["files"]} == {"hot", "cold"}


async def test_names_as_other_programs_write_them(tmp_path: Path) -> None:
    here = context(tmp_path)
    with tarfile.open(tmp_path / "gnu.tar", "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        entry = tarfile.TarInfo(os.fsdecode(b"long\xff" + b"x" * 150))
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"1"))
    found = await call(archive.Extract, here, path="gnu.tar", to="out")
    assert odd(tmp_path, b"out/long\xff" + b"x" * 150).read_text() == "1" and found["count"] == 1
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as made:
        made.writestr("caf__", "2")
        made.writestr("dos__", "3")
        made.infolist()[1].create_system = 0
        made.writestr("lieé", "4")
    raw = (tmp_path / "mac.zip").read_bytes().replace(b"caf__", "café".encode()).replace(b"dos__", b"dos\x82e")
    (tmp_path / "mac.zip").write_bytes(raw.replace("lieé".encode(), b"lie\xff\xfe"))
    names = [one["name"] for one in (await call(archive.List, here, path="mac.zip"))["files"]]
    assert names == ["café", "dosée", "lie\\xff\\xfe"], "Unix writes bytes as they are, DOS writes code page 437"
    await call(archive.Extract, here, path="mac.zip", to="mac")
    held = sorted((os.fsencode(one.name), one.read_text()) for one in (tmp_path / "mac").iterdir())
    assert held == [("café".encode(), "2"), ("dosée".encode(), "3"), (b"lie\xff\xfe", "4")]


LONG = "n" * 256


@pytest.mark.parametrize("name", [LONG, "é" * 128, "\\xff" * 256])
async def test_names_over_255_bytes_are_refused_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    here = context(tmp_path, {"path": "in/", "to": "out/"})
    only_to = context(tmp_path, {"to": "out/"})
    acts: list[tuple[Any, ActionContext, dict[str, Any]]] = [
        (actions.Read, here, {"path": f"in/{name}"}),
        (actions.Write, here, {"path": f"in/{name}", "text": "x"}),
        (actions.Write, here, {"path": f"in/{name}/x", "text": "x"}),
        (actions.Append, here, {"path": f"in/{name}", "text": "x"}),
        (actions.Delete, here, {"path": f"in/{name}"}),
        (actions.List, here, {"path": f"in/{name}"}),
        (actions.Copy, only_to, {"path": "a.csv", "to": f"out/{name}"}),
        (actions.Move, only_to, {"path": "a.csv", "to": f"out/{name}"}),
        (csv_actions.Convert, only_to, {"path": "a.csv", "to": f"out/{name}"}),
        (csv_actions.Write, here, {"path": f"in/{name}", "rows": [[1]]}),
        (text.Filter, only_to, {"path": "a.csv", "to": f"out/{name}", "pattern": "1"}),
        (archive.Create, only_to, {"path": "a.csv", "to": f"out/{name}", "format": "zip"}),
        (actions.Write, context(tmp_path), {"path": name, "text": "x"}),
        (actions.Read, context(tmp_path), {"path": f"{name}/x"}),
    ]
    for cls, ctx, options in acts:
        with pytest.raises(StepFailed) as caught:
            await call(cls, ctx, **options)
        assert caught.value.type == "file.path" and not caught.value.retryable, (cls, caught.value)
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    good = "é" * 127
    await call(actions.Write, here, path=f"in/{good}", text="fits")
    assert (tmp_path / "in" / good).read_text() == "fits"


async def test_a_member_with_too_long_a_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as made:
        made.writestr(LONG, "x")
    with pytest.raises(StepFailed, match="a name has at most 255") as caught:
        await call(archive.Extract, context(tmp_path), path="long.zip", to="out")
    assert not caught.value.retryable


async def test_an_append_that_wrote_a_part_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.write
    left = [3]

    def write(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink() != tmp_path / "log.txt":
            return plain(descriptor, data)
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = plain(descriptor, data[: left[0]])
        left[0] = 0
        return count

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StepFailed, match="3 of 6 bytes are in the file") as caught:
        await call(actions.Append, context(tmp_path), path="log.txt", text="abcdef")
    assert caught.value.type == "file.full" and not caught.value.retryable
    with pytest.raises(StepFailed) as caught:
        await call(actions.Append, context(tmp_path), path="log.txt", text="abcdef")
    assert caught.value.type == "file.full" and caught.value.retryable, "nothing was written"


async def test_a_move_across_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    (tmp_path / "a.txt").write_text("a")
    os.utime(tmp_path / "a.txt", (5, 5))
    found = await call(actions.Move, context(tmp_path), path="a.txt", to="far/")
    assert found["path"] == f"{tmp_path}/far/a.txt" and (tmp_path / "far/a.txt").stat().st_mtime == 5
    assert not (tmp_path / "a.txt").exists()
    (tmp_path / "b.txt").write_text("b")

    def unlink(name: str, **given: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(StepFailed, match=r"it is at .*far/b.txt now") as caught:
        await call(actions.Move, context(tmp_path), path="b.txt", to="far/b.txt")
    assert not caught.value.retryable and (tmp_path / "far/b.txt").read_text() == "b"


async def test_moves_into_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
        await call(actions.Move, context(tmp_path), path=name, to="done/")
    assert sorted(one.name for one in (tmp_path / "done").iterdir()) == ["a.txt", "b.txt"]


async def test_the_rights_of_a_file_that_is_replaced_stay(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o640)
    await call(actions.Write, context(tmp_path), path="a.txt", text="new")
    await call(csv_actions.Write, context(tmp_path), path="b.csv", rows=[[1]])
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "b.csv").stat().st_mode & 0o777 == 0o666 & ~umask


async def test_listings(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv", "sub/deep/.hidden.csv"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("x")
    (tmp_path / "in/link").symlink_to("/etc")

    async def names(pattern: str) -> list[str]:
        listed = await call(actions.List, context(tmp_path), path="in", pattern=pattern)
        return [one["path"].removeprefix(f"{tmp_path}/in/") for one in listed["files"]]

    assert await names("*") == ["a.csv", "b.txt"]
    assert await names("*/*.csv") == ["sub/c.csv"]
    assert await names("**/*.csv") == ["a.csv", "sub/c.csv", "sub/deep/.hidden.csv", "sub/deep/d.csv"]
    assert await names("sub/**") == ["sub/c.csv", "sub/deep/.hidden.csv", "sub/deep/d.csv"]
    assert await names("./sub/?.csv") == ["sub/c.csv"]
    assert await names("link/*") == []
    for pattern in ("", "/etc/*", "../*", "a/../../*"):
        with pytest.raises(StepFailed) as caught:
            await names(pattern)
        assert caught.value.type == "file.path"


async def test_a_root_that_is_above_a_link(tmp_path: Path) -> None:
    """The flows' folder is a link; `../inbox` is beside what it leads to."""
    (tmp_path / "real/flows").mkdir(parents=True)
    (tmp_path / "real/inbox").mkdir()
    (tmp_path / "real/inbox/a.txt").write_text("a")
    (tmp_path / "flows").symlink_to(tmp_path / "real/flows")
    folder = tmp_path / "flows"
    here = context(folder, {"path": f"{folder}/../inbox/"})
    assert (await call(actions.Read, here, path=f"{folder}/../inbox/a.txt"))["content"] == "a"
    here = context(folder, {"path": "../inbox/"})
    assert (await call(actions.Read, here, path="../inbox/x/../a.txt"))["content"] == "a"
    assert (await call(actions.List, here, path="../inbox/x/.."))["count"] == 1
    for out in ("../inbox/../flows/x", "../inbox/x/../../y", "/etc/passwd"):
        with pytest.raises(StepFailed, match="leaves"):
            await call(actions.Read, here, path=out)


def test_the_first_folder_is_the_authors(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Place(str(tmp_path / "link"), ("x",)).above() as folder:
        assert os.path.samestat(os.fstat(folder), (tmp_path / "real").stat())
