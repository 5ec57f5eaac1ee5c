"""Files of flows while the daemon runs and at its starts: odd names, saves in several writes, errors, links."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from reactor.catalog.catalog import Catalog
from reactor.kit.clock import SystemClock
from reactor.router.match import FlowSet
from reactor.store.memory.store import MemoryStore
from tests.daemon import Daemon, eventually
from tests.faults.test_full import Facts
from tests.flows_help import KINDS, Told, versions
from tests.waiting import soon

FLOW = "flow: hello\nwhen: [{http: POST /hello}]\ndo: []\noutput: %s\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    one.flow("hello.yaml", FLOW % 1)
    with one:
        yield one


def says(daemon: Daemon, output: Any, path: str = "hello") -> None:
    eventually(lambda: daemon.post(f"/hooks/{path}?wait", {}).json == output, 20, f"{path} does not say {output}")


def messages(daemon: Daemon, part: str) -> list[str]:
    return [fact["message"] for fact in daemon.facts() if part in fact["message"]]


@pytest.mark.parametrize("folder", ["", "sub", ".git", "sub/.git"])
def test_a_name_that_is_not_utf8_hurts_nobody(daemon: Daemon, folder: str) -> None:
    place = daemon.flows / folder
    place.mkdir(parents=True, exist_ok=True)
    first, second = (place / os.fsdecode(name) for name in (b"bad\xff.txt", b"worse\xfe.txt"))
    first.write_text("x")
    daemon.wait_log("flow.warning")
    daemon.flow("hello.yaml", FLOW % 2)
    says(daemon, 2)
    first.rename(second)
    eventually(lambda: messages(daemon, "worse\\xfe.txt"), 20, "the new name is not reported")
    (place / os.fsdecode(b"folder\xff")).mkdir()
    second.unlink()
    daemon.flow("hello.yaml", FLOW % 3)
    says(daemon, 3)
    assert len(messages(daemon, "bad\\xff.txt")) == 1, "one warning"
    assert not [fact for fact in daemon.facts() if fact["fact"] == "flow.polling"]
    assert daemon.stop() == 0


def test_a_flow_file_whose_name_is_not_utf8(daemon: Daemon) -> None:
    for name in (b"f\xfflow.yaml", b"d\xff/g.yaml", b"connections/c\xff.yaml"):
        path = daemon.flows / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("flow: odd\nwhen: [manual]\ndo: []\n")
    daemon.flow("hello.yaml", FLOW % 2)
    says(daemon, 2)
    for shown in ("f\\xfflow.yaml", "d\\xff/g.yaml", "c\\xff.yaml"):
        eventually(lambda shown=shown: messages(daemon, shown), 20, f"{shown} is not reported")
        assert len(messages(daemon, shown)) == 1
    assert daemon.stop() == 0
    daemon.start()
    says(daemon, 2)
    assert "f\\xfflow.yaml" in daemon.cli("flows", "--server", f"127.0.0.1:{daemon.port}").stdout
    done = daemon.cli("check", "flows")
    assert done.returncode == 1 and "3 errors" in done.stderr, done.stderr
    assert "f\\xfflow.yaml:1:1: the name of the file is not UTF-8" in done.stdout, done.stdout


def test_after_a_start_a_file_with_errors_is_replaced_by_what_ran_last(daemon: Daemon) -> None:
    daemon.flow(
        "two.yaml",
        "flow: one\nwhen: [{http: POST /one}]\ndo: []\noutput: 1\n---\nflow: two\nwhen: [{http: POST /two}]\ndo: []\noutput: 2\n",
    )
    daemon.flow("gone.yaml", "flow: gone\nwhen: [{http: POST /gone}]\ndo: []\n")
    says(daemon, 2, "two")
    says(daemon, 1, "one")
    eventually(lambda: daemon.post("/hooks/gone?wait", {}).status == 200, 20, "not loaded")
    assert daemon.stop() == 0
    daemon.flow("hello.yaml", "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{call: nope}]\n")
    daemon.flow("two.yaml", "flow: one\nwhen: [{http: POST /one}]\ndo: []\noutput: 11\n---\nflow: two\nwhen: [}\n")
    daemon.flow("new.yaml", "flow: new\nwhen: [manual]\ndo: [{call: nope}]\n")
    (daemon.flows / "gone.yaml").unlink()
    for _ in range(2):
        place = daemon.log.stat().st_size
        daemon.start()
        assert daemon.post("/hooks/hello?wait", {}).json == 1
        assert [daemon.post(f"/hooks/{name}?wait", {}).json for name in ("one", "two")] == [1, 2]
        assert daemon.post("/hooks/gone", {}).status == 404
        kept = {fact["flow"] for fact in daemon.facts(place) if fact["fact"] == "flow.kept"}
        assert kept == {"hello", "one", "two"}
        assert any(
            "there is no action nope" in fact["message"]
            for fact in daemon.facts(place)
            if fact["fact"] == "flow.refused"
        )
        items = {item["name"]: item for item in daemon.get("/api/v1/flows")["items"]}
        assert {name: item["state"] for name, item in items.items()} == {
            "hello": "refused", "one": "refused", "two": "refused", None: "problems",
        }  # fmt: skip
        details = daemon.get("/readyz")
        assert set(details["refused"]) == {"hello", "one", "two", "new"} and "nope" in details["refused"]["hello"]
        rows = daemon.cli("flows").stdout.splitlines()
        assert any(row.split()[:2] == ["hello", "refused"] for row in rows), rows
        assert daemon.stop() == 0
    daemon.flow("hello.yaml", FLOW % 5)
    daemon.start()
    assert daemon.post("/hooks/hello?wait", {}).json == 5
    (item,) = [one for one in daemon.get("/api/v1/flows")["items"] if one["name"] == "hello"]
    assert item["state"] == "enabled" and "warning" in item["problems"][0], "a mere warning is not a problem"
    assert "hello" not in daemon.get("/readyz")["refused"]


def test_what_is_not_allowed_any_longer_does_not_come_back(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--allow", "shell")
    daemon.flow(
        "hello.yaml", "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{call: shell.run, with: {argv: ['true']}}]\n"
    )
    with daemon:
        assert daemon.post("/hooks/hello?wait", {}).status == 200
        assert daemon.stop() == 0
        daemon.options = ()
        daemon.start()
        assert daemon.post("/hooks/hello", {}).status == 404
        assert daemon.get("/api/v1/flows")["items"][0]["state"] == "problems"


@pytest.mark.anyio
async def test_a_file_saved_in_two_writes_never_runs_half(tmp_path: Path) -> None:
    """A writer that stops for 0.3 s in the middle of each save; each set of flows is looked at."""
    path = tmp_path / "hello.yaml"
    halves = ("flow: hello\nwhen: [manual]\ndo:\n  - {id: a, set: {n: %d}}\n", "  - {id: b, set: {m: %d}}\n")
    path.write_text("".join(halves) % (0, 0))
    taken: list[int] = []
    news = anyio.Event()

    def changed(flows: FlowSet) -> None:
        taken.append(len(flows.plans["hello"].do.steps))
        news.set()

    catalog = Catalog([tmp_path], KINDS, versions(MemoryStore()), SystemClock(), Facts(), Told(changed))
    await catalog.load()
    paused = threading.Event()

    def save(number: int) -> None:
        with path.open("w") as file:
            file.write(halves[0] % number)
            file.flush()
            paused.wait(0.3)
            file.write(halves[1] % number)

    async with anyio.create_task_group() as group:
        group.start_soon(catalog.watch)
        for number in range(1, 5):
            news = anyio.Event()
            await anyio.to_thread.run_sync(save, number)
            with anyio.fail_after(20):
                await news.wait()
        group.cancel_scope.cancel()
    assert taken == [2] * 5


def test_a_flow_that_is_missing_from_a_file_of_several_for_a_moment(daemon: Daemon) -> None:
    """The save's first write had only the first flow, for longer than a file takes to be quiet."""
    two = [f"flow: {name}\nwhen: [{{http: POST /{name}}}]\ndo: []\noutput: %s\n" for name in ("one", "two")]
    daemon.flow("two.yaml", f"{two[0] % 1}---\n{two[1] % 1}")
    says(daemon, 1, "two")
    place = daemon.log.stat().st_size
    daemon.flow("two.yaml", two[0] % 2)
    says(daemon, 2, "one")
    daemon.flow("two.yaml", f"{two[0] % 2}---\n{two[1] % 2}")
    says(daemon, 2, "two")
    assert not [fact for fact in daemon.facts(place) if fact["fact"] == "flow.removed"]
    daemon.flow("two.yaml", two[0] % 2)
    daemon.wait_log("flow.removed", place, flow="two")
    assert daemon.post("/hooks/two", {}).status == 404


def test_a_file_that_is_renamed_keeps_its_flow(daemon: Daemon) -> None:
    place = daemon.log.stat().st_size
    (daemon.flows / "hello.yaml").rename(daemon.flows / "other.yaml")
    daemon.flow("sign.yaml", "flow: sign\nwhen: [{http: POST /sign}]\ndo: []\noutput: 1\n")
    says(daemon, 1, "sign")
    eventually(lambda: "other.yaml" in str(daemon.get("/api/v1/flows")), 20, "the new name is not seen")
    assert not [fact for fact in daemon.facts(place) if fact["fact"] in ("flow.removed", "flow.refused")]


def test_links_and_directories_that_are_swapped(tmp_path: Path) -> None:
    """What a link points to may change where nobody watches."""
    daemon = Daemon(tmp_path)
    outside = tmp_path / "outside.yaml"
    outside.write_text(FLOW % 1)
    (daemon.flows / "hello.yaml").symlink_to(outside)
    with daemon:
        says(daemon, 1)
        outside.write_text(FLOW % 2)
        says(daemon, 2)
        release = tmp_path / "release"
        release.mkdir()
        (release / "hello.yaml").write_text(FLOW % 3)
        daemon.flows.rename(tmp_path / "old")
        release.rename(daemon.flows)
        says(daemon, 3)
        daemon.flow("hello.yaml", FLOW % 4)
        says(daemon, 4)


@pytest.mark.anyio
async def test_a_watcher_that_breaks_is_replaced_by_polling(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: []\n")
    facts = Facts()
    begun, changed = anyio.Event(), anyio.Event()

    def tell(flows: FlowSet) -> None:
        if "three" in flows.plans:
            changed.set()
        elif "two" in flows.plans:
            begun.set()

    catalog = Catalog([tmp_path], KINDS, versions(MemoryStore()), SystemClock(), facts, Told(tell))
    await catalog.load()
    async with anyio.create_task_group() as group:
        group.start_soon(catalog.watch)
        (tmp_path / "two.yaml").write_text("flow: two\nwhen: [manual]\ndo: []\n")
        with anyio.fail_after(20):
            await begun.wait()
        kernel = catalog._watch._kernel
        assert kernel is not None
        os.dup2(os.open(os.devnull, os.O_RDONLY), kernel._fd)
        (tmp_path / "three.yaml").write_text("flow: three\nwhen: [manual]\ndo: []\n")
        with anyio.fail_after(20):
            await changed.wait()
        group.cancel_scope.cancel()
    assert "flow.polling" in facts.seen


@pytest.mark.anyio
async def test_nothing_is_looked_at_when_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that flows write beside themselves do not wake it; one changed file is the only one that is read."""
    for number in range(20):
        (tmp_path / f"flow-{number}.yaml").write_text(f"flow: f-{number}\nwhen: [manual]\ndo: []\n")
    changed = anyio.Event()

    def tell(flows: FlowSet) -> None:
        if flows.plans["f-7"].do.steps:
            changed.set()

    catalog = Catalog([tmp_path], KINDS, versions(MemoryStore()), SystemClock(), Facts(), Told(tell))
    await catalog.load()
    looks: list[Any] = []
    read: list[str] = []
    plain_look, plain_read = catalog._files.look, catalog._files._read

    def look(news: Any) -> bool:
        looks.append(news)
        return plain_look(news)

    def reading(path: str, *rest: Any) -> Any:
        read.append(path)
        return plain_read(path, *rest)

    monkeypatch.setattr(catalog._files, "look", look)
    monkeypatch.setattr(catalog._files, "_read", reading)
    async with anyio.create_task_group() as group:
        group.start_soon(catalog.watch)
        await soon(lambda: looks, "it does not watch")
        for _ in range(30):
            with (tmp_path / "log.txt").open("a") as file:
                file.write("x\n")
        (tmp_path / ".flow-7.yaml").write_text("flow: f-7\nwhen: [manual]\ndo: [{set: {a: 1}}]\n")
        (tmp_path / ".flow-7.yaml").rename(tmp_path / "flow-7.yaml")
        with anyio.fail_after(20):
            await changed.wait()
        group.cancel_scope.cancel()
    assert read == [str(tmp_path / "flow-7.yaml")]
    assert [news.whole for news in looks] == [True, False]
