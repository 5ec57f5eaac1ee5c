"""Programs that the daemon starts: for `shell.run`, scripts and plugins alike.

A program has a group and a session of its own, inherits descriptors 0, 1 and 2 and nothing else, and does not outlive
the daemon. Its own end counts, not the end of its pipes, which its children may hold open.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import anyio

from plugins.survivors import RECORD, Running

CHUNK = 65_536
LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if LINUX else None
MOST_LEFT = 64
"""Pipes of children in the background that are still emptied; beyond these the oldest is closed."""


class Reader:
    """The end of a pipe that we read; an `anyio` byte stream."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._fd = pipe.fileno()
        self.ended = False
        os.set_blocking(self._fd, False)

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """Raises EndOfStream, ClosedResourceError."""
        await anyio.lowlevel.checkpoint()
        while True:
            if self._pipe.closed:
                raise anyio.ClosedResourceError
            try:
                data = os.read(self._fd, max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._fd)
                continue
            except OSError:
                data = b""
            if not data:
                self.ended = True
                raise anyio.EndOfStream
            return data

    def close(self) -> None:
        if not self._pipe.closed:
            anyio.notify_closing(self._fd)
            self._pipe.close()

    async def aclose(self) -> None:
        self.close()

    def release(self) -> int:
        """A descriptor of the pipe, for somebody else to read and close."""
        found = os.dup(self._fd)
        self.close()
        return found


class Writer:
    """The end of a pipe that we write."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._fd = pipe.fileno()
        os.set_blocking(self._fd, False)

    async def send(self, item: bytes) -> None:
        """Raises BrokenResourceError when nobody reads any longer, ClosedResourceError."""
        await anyio.lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            if self._pipe.closed:
                raise anyio.ClosedResourceError
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._fd)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    def close(self) -> None:
        if not self._pipe.closed:
            anyio.notify_closing(self._fd)
            self._pipe.close()

    async def aclose(self) -> None:
        self.close()


class Program:
    """A program that runs or has run. `aclose` must be called: until then its number and group are not given to
    another, so that they can be signalled safely."""

    def __init__(self, process: subprocess.Popen[bytes], program: Running) -> None:
        self._process = process
        self.pid = process.pid
        self.stdin = Writer(process.stdin) if process.stdin is not None else None
        self.stdout = Reader(process.stdout) if process.stdout is not None else None
        self.stderr = Reader(process.stderr) if process.stderr is not None else None
        self.returncode: int | None = None
        self._watch = _watch(process.pid)
        self._waiting = anyio.Lock()
        self._reaped = False
        RECORD.add(program)

    async def wait(self) -> int:
        """Its exit code; the negative number of the signal that ended it."""
        async with self._waiting:
            while not self._look():
                if self._watch is not None:
                    await anyio.wait_readable(self._watch)
                else:
                    await anyio.sleep(0.02)
        assert self.returncode is not None
        return self.returncode

    def _look(self) -> bool:
        """Whether it has ended. It is not reaped by that."""
        if self.returncode is None:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                self.returncode = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        return self.returncode is not None

    def signal_group(self, number: int) -> bool:
        """Signals it and what it started in its group; False when nothing of them is left."""
        if self._reaped:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def kill(self) -> None:
        self.signal_group(signal.SIGKILL)

    def leave(self) -> None:
        """Children in the background are left alone: what they still write is read and dropped, so that they do not
        fail of a broken pipe. To be called after its end."""
        for reader in (self.stdout, self.stderr):
            if reader is not None and reader.ended:
                reader.close()
            elif reader is not None:
                _LEFT.take(reader.release())
        self.stdout = self.stderr = None

    async def aclose(self) -> None:
        """Closes the pipes. Kills what still runs of the program itself."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        if self._reaped:
            return
        if not self._look():
            self._process.kill()
            with anyio.CancelScope(shield=True):
                await self.wait()
        self._reaped = True
        self._process.wait()
        if self._watch is not None:
            anyio.notify_closing(self._watch)
            os.close(self._watch)
        RECORD.remove(self.pid)


def _watch(pid: int) -> int | None:
    """A descriptor that can be read when the process has ended; None where the system has none."""
    if not LINUX:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def start(
    argv: Sequence[str | bytes], *, cwd: str | Path | None, env: Mapping[str, str], mark: str, stdin: bool = True
) -> Program:
    """Starts it with pipes; without `stdin` it reads nothing. `mark` is a variable of `env` by which its children are
    known. Raises OSError, ValueError."""
    variable = f"{mark}={env[mark]}"
    prepare = _preparation(variable)
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=cwd, env=env, bufsize=0, close_fds=True, start_new_session=True,
            preexec_fn=prepare,
        )  # fmt: skip
    except BaseException:
        RECORD.remove(0)
        raise
    try:
        return Program(process, RECORD.known(process.pid, variable) if prepare else RECORD.note(process.pid, variable))
    except BaseException:
        process.kill()
        process.wait()
        raise


def _preparation(mark: str) -> Callable[[], None] | None:
    """What the child does before it becomes the program: it asks to be killed when its parent dies, and writes itself
    into the record. For the kernel the parent is the *thread* that forked, so only the main thread asks for that: any
    other may end before the daemon does."""
    if LIBC is None or threading.get_native_id() != os.getpid():
        return None
    prctl, parent, number = LIBC.prctl, os.getpid(), int(signal.SIGKILL)

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(127)
        RECORD.note(os.getpid(), mark)

    return ask


class _Left:
    """Pipes that children in the background hold: emptied by the event loop, closed at their end."""

    def __init__(self) -> None:
        self._loops: dict[int, Any] = {}

    def take(self, fd: int) -> None:
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another kind of loop, in tests of the engine
            os.close(fd)
            return

        def drop() -> None:
            try:
                data = os.read(fd, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close(fd)

        if len(self._loops) >= MOST_LEFT:
            self._close(next(iter(self._loops)))
        self._loops[fd] = loop
        loop.add_reader(fd, drop)

    def _close(self, fd: int) -> None:
        loop = self._loops.pop(fd)
        if not loop.is_closed():
            loop.remove_reader(fd)
        os.close(fd)


_LEFT = _Left()
