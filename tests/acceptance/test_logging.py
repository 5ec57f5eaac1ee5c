"""The log never holds the daemon up: not when nobody reads it, when its disk is full, when its pipe or descriptors are closed."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.daemon import Daemon, eventually

FLOW = """\
flow: keep
when: [{http: POST /keep}]
do:
  - foreach: range(event.body.lines)
    do: [{call: log, with: {message: "${{ event.body.text }}"}}]
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(
    daemon: Daemon, shell: str = "", stderr: int | IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon with odd descriptors; its address is known beforehand, since its log may not be readable."""
    daemon.port = free_port()
    command = [
        *daemon.command, "run", "--flows", str(daemon.flows), "--data", str(daemon.data),
        "--listen", f"127.0.0.1:{daemon.port}", "--log-format", "json", *daemon.options,
    ]  # fmt: skip
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {shell}', "sh", *command], stdout=subprocess.DEVNULL, stderr=stderr, cwd=daemon.folder
    )
    daemon.process = process
    try:
        eventually(lambda: healthy(daemon), 30, "the daemon does not answer")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def healthy(daemon: Daemon) -> bool:
    try:
        return daemon.request("GET", "/readyz").status == 200
    except OSError:
        return False


def fill(daemon: Daemon) -> None:
    """More log than a pipe and the bounds in memory take."""
    for _ in range(3):
        assert daemon.post("/hooks/keep?wait=2m", {"text": "x" * 4000, "lines": 1000}).status == 200


def lost(daemon: Daemon) -> float:
    for line in daemon.request("GET", "/metrics").raw.decode().splitlines():
        if line.startswith("reactor_log_lines_lost_total"):
            return float(line.split()[1])
    raise AssertionError("the metric is missing")


def test_a_log_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with running(daemon, stderr=writer) as process:
        os.close(writer)
        fill(daemon)
        assert daemon.request("GET", "/healthz").status == 200
        assert lost(daemon) > 0
        received = b""
        while b'"log.lost"' not in received:  # somebody reads again: what was lost is told, once
            assert select.select([reader], [], [], 30)[0], "no line tells what was lost"
            received += os.read(reader, 1 << 20)
            daemon.request("GET", "/healthz")
        told = [json.loads(line) for line in received.splitlines() if b'"log.lost"' in line]
        assert told[0]["lines"] == lost(daemon)
        fill(daemon)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    os.close(reader)


@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, shell: str) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    with running(daemon, shell=shell) as process:
        assert daemon.post("/hooks/keep?wait", {"text": "on the disk", "lines": 1}).status == 200
        if "full" in shell:
            assert lost(daemon) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert (daemon.data / "reactor.db").read_bytes().startswith(b"SQLite format 3"), "the log went into the store"


def test_a_reader_of_the_log_that_ends_does_not_end_the_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    reader, writer = os.pipe()
    with running(daemon, stderr=writer) as process:
        os.close(writer)
        os.close(reader)
        for _ in range(3):
            assert daemon.post("/hooks/keep?wait", {"text": "a", "lines": 1}).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
