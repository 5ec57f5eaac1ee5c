"""What programs a daemon has left behind: a record of those that run, and their end at the next start.

When the daemon is killed, the kernel kills its programs (`plugins.program`), but not what these started. The record in
the data directory names each program's group by its number and the time at which it was started, so that a number that
was given to somebody else since is not mistaken for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

FILE = "programs.jsonl"
PATIENCE = 5.0
"""Seconds in which killed programs are gone."""
LOOK = 1.0
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A program of the record. `start` is in the kernel's ticks since the boot of the machine `boot`; `mark` is a
    variable of its environment; without a `start` the program has ended."""

    pid: int
    start: int | None = None
    boot: str = ""
    mark: str = ""


class Stat(msgspec.Struct, frozen=True):
    """What proc(5) says of a process."""

    pid: int
    state: str
    group: int
    session: int
    start: int


def stat_of(pid: int) -> Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    return Stat(pid, fields[0].decode(), int(fields[2]), int(fields[3]), int(fields[19]))


def boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Record:
    """The programs that run now, in memory and, once it is kept, in a file. It is never the reason for a failure."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._boot = ""
        self.running: dict[int, Running] = {}

    def keep(self, directory: Path) -> list[Running]:
        """Ends what an earlier daemon of the data directory left behind, and begins a new file; who was ended. To be
        called by the owner of the directory, before anything is started."""
        self._path = directory / FILE
        self._boot = boot()
        ended = end_all(_read(self._path), self._boot)
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        return ended

    def note(self, pid: int, mark: str) -> Running:
        """Writes a program down; it may do so itself, before it becomes the program, so that there is no moment in
        which it runs and is not in the record."""
        one = self.known(pid, mark)
        self._write(one)
        return one

    def known(self, pid: int, mark: str) -> Running:
        found = stat_of(pid)
        return Running(pid=pid, start=found.start if found is not None else 0, boot=self._boot, mark=mark)

    def add(self, one: Running) -> None:
        self.running[one.pid] = one

    def remove(self, pid: int) -> None:
        """It has ended, or was never started."""
        self.running.pop(pid, None)
        if self.running:
            self._write(Running(pid=pid))
        elif self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self, one: Running) -> None:
        if self._path is None:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, msgspec.json.encode(one) + b"\n")
            finally:
                os.close(file)
        except OSError:  # a full disk: the program runs without a record
            return


RECORD = Record()
"""Of this process, like its children themselves."""


def _read(path: Path) -> list[Running]:
    found: dict[int, Running] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            one = msgspec.json.decode(line, type=Running)
        except (msgspec.DecodeError, ValueError):  # the last line of a daemon that was killed
            continue
        if one.start is None:
            found.pop(one.pid, None)
        else:
            found[one.pid] = one
    return list(found.values())


def end_all(programs: list[Running], now: str) -> list[Running]:
    """Kills what is left of them, and waits until it is gone; those of which something was left."""
    left = [one for one in programs if one.boot == now and one.pid > 1]
    if not left or not now:
        return []
    by_group: dict[int, list[Stat]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (found := stat_of(int(name))) is not None and found.state != "Z":
            by_group.setdefault(found.group, []).append(found)
    ended = []
    killed: list[Stat] = []
    for one in left:
        members = [member for member in by_group.get(one.pid, []) if _belongs(member, one)]
        for member in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member.pid, signal.SIGKILL)
        if members:
            ended.append(one)
            killed += members
    until = time.monotonic() + PATIENCE
    while any(_lives(one) for one in killed) and time.monotonic() < until:
        time.sleep(0.01)
    return ended


def _belongs(member: Stat, program: Running) -> bool:
    """Whether a process is the program, or something that it started in its group."""
    if member.pid == program.pid:
        return member.start == program.start
    leader = stat_of(program.pid)
    if leader is not None and leader.start == program.start:
        return True
    if member.session != program.pid or member.start < (program.start or 0):
        return False
    try:
        variables = Path(f"/proc/{member.pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(program.mark) in variables


def _lives(one: Stat) -> bool:
    found = stat_of(one.pid)
    return found is not None and found.start == one.start and found.state != "Z"


def adopts() -> bool:
    """Whether children of programs that ended become this process's own: it is process 1 of a container, or it reaps
    for another that is, such as the first of the two processes of a one-file executable."""
    if sys.platform != "linux":
        return False
    prctl = ctypes.CDLL(None).prctl
    if getattr(sys, "frozen", False):
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asked = ctypes.c_int(0)
    prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(asked), 0, 0, 0)
    return os.getpid() == 1 or bool(asked.value)


async def reap(sleep: Callable[[float], Awaitable[Any]]) -> None:
    """Reaps orphans that came to us, until cancelled."""
    while True:
        await sleep(LOOK)
        while _reap_one():
            pass


def _reap_one() -> bool:
    """Whether there was one. Our own programs are left to those who started them."""
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None and found.si_pid not in RECORD.running:
            os.waitpid(found.si_pid, os.WNOHANG)
            return True
    return False
