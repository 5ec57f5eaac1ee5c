"""A resource that is used up is a line of the log and a metric, and the daemon goes on when it is back."""

from __future__ import annotations

import errno
import http.client
import os
import resource
import socket
from pathlib import Path

import pytest

from reactor.contracts.errors import StoreFull
from reactor.contracts.facts import Fact
from reactor.observe.resources import Resources
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import BIG, accept, over, start
from tests.daemon import Daemon, eventually

HELLO = "flow: hello\nwhen: [{http: POST /hello}]\ndo: []\noutput: 1\n"


def test_descriptors_that_are_used_up_are_told(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("hello.yaml", HELLO)
    with daemon:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (100, 100))
        clients = []
        try:
            for _ in range(150):
                client = socket.create_connection(("127.0.0.1", daemon.port), 5)
                clients.append(client)
            daemon.wait_log("resource.exhausted", resource="descriptors")
        finally:
            for client in clients:
                client.close()
        daemon.wait_log("resource.back", resource="descriptors")
        assert accepted(daemon)
        eventually(lambda: b'_exhausted_total{resource="descriptors"} 1.0' in metrics(daemon), 10, "it is not counted")
        assert daemon.stop() == 0


def accepted(daemon: Daemon) -> bool:
    eventually(lambda: posted(daemon) == b"1", 20, "the daemon does not go on")
    return True


def posted(daemon: Daemon) -> bytes:
    try:
        return daemon.post("/hooks/hello?wait", {}).raw
    except (OSError, http.client.HTTPException):
        return b""


def metrics(daemon: Daemon) -> bytes:
    return daemon.request("GET", "/metrics").raw


class Facts:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def observe(self, fact: Fact) -> None:
        self.seen.append((fact.NAME, fact.shown()["resource"]))


def test_disk_and_memory(tmp_path: Path) -> None:
    facts = Facts()
    health: list[str | None] = [None]
    watched = Resources(facts, lambda: health[0], tmp_path)
    watched.look()
    assert not facts.seen
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    watched.look()
    (tmp_path / "memory.max").write_text("1040\n")
    health[0] = "the disk is full"
    watched.look()
    watched.look()
    assert facts.seen == [("resource.exhausted", "disk"), ("resource.exhausted", "memory")]
    (tmp_path / "memory.current").write_text("500\n")
    health[0] = None
    watched.look()
    assert facts.seen[2:] == [("resource.back", "disk"), ("resource.back", "memory")]


@pytest.mark.anyio
async def test_a_payload_without_a_descriptor_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon goes on: this is not a disk that fails."""
    store = SqliteStore(tmp_path, 0)
    await store.open()
    real = os.fsync

    def used_up(descriptor: int) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "fsync", used_up)
    with pytest.raises(StoreFull, match="descriptor"):
        await accept(store, start("run_1", begun=over(BIG)), id="evt_1")
    monkeypatch.setattr(os, "fsync", real)
    assert store.health() is None and await store.run("run_1") is None
    await accept(store, start("run_1", begun=over(BIG)), id="evt_1")
    await store.close()
