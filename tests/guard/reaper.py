"""Which processes a session of tests has started, and their end. `python reaper.py TOKEN START FOLDER…` waits until its
stdin is closed, which a session that is killed does too, and ends what is left. It imports the standard library alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 10.0
"""Seconds in which killed processes are gone."""


@dataclass(frozen=True)
class Marks:
    """How processes of a session are known: `token` is in their environment, or they work in one of the `folders`. The
    folders count only for processes without a terminal that began after `start`, in ticks since boot: a person may look
    at the folders too."""

    token: str
    start: int
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    pid: int
    command: str
    test: str
    """The test that started it, as far as its environment says."""

    def __str__(self) -> str:
        return f"{self.pid}: {self.command}" + (f"   (started by {self.test})" if self.test else "")


def started(pid: int | str) -> int:
    """The ticks since boot at which a process began (proc(5)); 0 when there is none."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) if fields else 0


def running(marks: Marks) -> list[Found]:
    """The processes of the session, without this one. Those that ended and wait for their parent do not count."""
    own = {os.getpid(), os.getppid()}
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()] if Path("/proc").exists() else []
    found = []
    for pid in pids:
        if pid in own or not _belongs(pid, marks):
            continue
        command = _read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
        if command and Path(__file__).name not in command:
            found.append(Found(pid, command, _test(_read(pid, "environ"))))
    return found


def end(marks: Marks) -> None:
    """Kills them, and what they start meanwhile, until there are none."""
    last = time.monotonic() + PATIENCE
    while (found := running(marks)) and time.monotonic() < last:
        for one in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, signal.SIGKILL)
        time.sleep(0.02)


def _belongs(pid: int, marks: Marks) -> bool:
    if marks.token.encode() in _read(pid, "environ"):
        return True
    try:
        place = str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return False
    if not any(place == folder or place.startswith(f"{folder}/") for folder in marks.folders):
        return False
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(fields) and fields[4] == b"0" and int(fields[19]) >= marks.start


def _test(environment: bytes) -> str:
    for variable in environment.split(b"\0"):
        if variable.startswith(b"PYTEST_CURRENT_TEST="):
            return variable.partition(b"=")[2].decode("utf-8", "replace")
    return ""


def _read(pid: int | str, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    token, start, own, *others = sys.argv[1:]
    end(Marks(token, int(start), (own, *others)))
    shutil.rmtree(own, ignore_errors=True)


if __name__ == "__main__":
    main()
