"""Directories of flows that go away, or turn into something else, while the daemon runs: what ran goes on, and is said."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.definitions import definition_files, files_under
from reactor.catalog.catalog import Catalog
from reactor.kit.clock import SystemClock
from reactor.store.memory.store import MemoryStore
from tests.daemon import Daemon, eventually
from tests.faults.test_full import Facts
from tests.flows_help import KINDS, versions

FLOW = "flow: hello\nwhen: [{http: POST /hello}]\ndo: []\noutput: %s\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    one.flow("hello.yaml", FLOW % 1)
    with one:
        yield one


def problems(daemon: Daemon) -> list[str]:
    return [item["problem"] for item in daemon.get("/api/v1/flows")["items"] if item.get("problem")]


def test_a_directory_that_is_gone_for_a_while(daemon: Daemon) -> None:
    away = daemon.folder / "away"
    daemon.flows.rename(away)
    daemon.wait_log("flow.refused")
    assert "the directory is gone" in daemon.log.read_text()
    assert daemon.post("/hooks/hello?wait", {}).json == 1, "its flows run on"
    assert not [fact for fact in daemon.facts() if fact["fact"] == "flow.removed"]
    (away / "hello.yaml").write_text(FLOW % 2)
    away.rename(daemon.flows)
    eventually(lambda: daemon.post("/hooks/hello?wait", {}).json == 2, 20, "it is not read again")
    assert daemon.stop() == 0


def test_a_directory_that_becomes_a_python_package(daemon: Daemon) -> None:
    (daemon.flows / "__init__.py").write_text("")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    refused = daemon.wait_log("flow.refused")
    assert "is a Python package" in refused["message"]
    answer = daemon.request("POST", "/api/v1/reload")
    assert answer.status == 200 and "is a Python package" in answer.raw.decode()
    assert daemon.post("/hooks/hello?wait", {}).json == 1
    (daemon.flows / "__init__.py").unlink()
    daemon.flow("hello.yaml", FLOW % 2)
    eventually(lambda: daemon.post("/hooks/hello?wait", {}).json == 2, 20, "it is not read again")
    assert "is a Python package" not in daemon.request("POST", "/api/v1/reload").raw.decode()


@pytest.mark.anyio
async def test_a_disk_that_fails_in_any_walk_takes_no_flow_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may fail in any folder that is walked through."""
    (tmp_path / "one.yaml").write_text("flow: one\nwhen: [manual]\ndo: [{set: {a: 1}}]\n")
    for folder in ("connections", "collections"):
        (tmp_path / folder).mkdir()
    catalog = Catalog([tmp_path], KINDS, versions(MemoryStore()), SystemClock(), Facts())
    await catalog.refresh()
    plain = os.scandir
    for fails_at in (1, 2, 3):
        walks = 0

        def scandir(top: Any, fails_at: int = fails_at) -> Any:
            nonlocal walks
            walks += 1
            if walks == fails_at:
                raise OSError(5, "Input/output error", str(top))
            return plain(top)

        monkeypatch.setattr(os, "scandir", scandir)
        await catalog.refresh()
        assert walks == fails_at and set(catalog.flows.plans) == {"one"}
        assert [problem.message for problem in catalog.problems] == ["the directory cannot be read: Input/output error"]
        monkeypatch.setattr(os, "scandir", plain)
        await catalog.refresh()
        assert catalog.problems == []


def test_what_goes_while_it_is_looked_at_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows write beside themselves: a folder may be removed between two looks at it. A disk that fails is another matter."""
    for name in (
        "a.yaml",
        "out/b.yaml",
        "out/.c.yaml",
        ".hidden/d.yaml",
        "connections/e.yaml",
        "x/connections/f.json",
        "g.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    plain = os.scandir
    faults: list[OSError] = []

    def scandir(path: Any) -> Any:
        if faults and Path(path).name == "out":
            raise faults[-1]
        return plain(path)

    def names() -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in files_under(tmp_path)]

    monkeypatch.setattr(os, "scandir", scandir)
    assert names() == ["a.yaml", "connections/e.yaml", "out/b.yaml", "x/connections/f.json"]
    assert [path.name for path in definition_files(tmp_path, "connections")] == ["e.yaml", "f.json"]
    for fault in (FileNotFoundError(2, "gone"), PermissionError(13, "not ours")):
        faults.append(fault)
        assert names() == ["a.yaml", "connections/e.yaml", "x/connections/f.json"]
    faults.append(OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        names()
