"""Lines to a descriptor from a thread of their own: whoever logs never waits for whoever reads."""

from __future__ import annotations

import collections
import os
import select
import threading
from collections.abc import Callable

MAX_LINES = 10_000
MAX_BYTES = 8 * 1024 * 1024
"""What waits to be written, in bytes; what comes beyond either bound is lost, and counted."""
PIECE = 64 * 1024
TOGETHER = 0.02
"""Seconds for which a line may wait for others, so that they are one write."""


class LineWriter:
    """Writes lines in order. `lost` makes the line that tells how many were lost; None: such a line is not written."""

    def __init__(self, descriptor: int, lost: Callable[[int], str] | None = None) -> None:
        self._descriptor = descriptor
        self._notice = lost
        self._lines: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._urgent = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self.lost = 0
        """How many lines were lost so far."""

    def write(self, line: str, at_once: bool = True) -> None:
        """Never waits and never raises. What cannot be UTF-8 is escaped. A line that comes with each event need not be
        written `at_once`."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if len(self._lines) >= MAX_LINES or self._size + len(data) > MAX_BYTES:
                self._dropped += 1
                self.lost += 1
                return
            self._lines.append(data)
            self._size += len(data)
            if self._idle.is_set():
                self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
        if at_once and not self._urgent.is_set():
            self._urgent.set()
        if not self._news.is_set():
            self._news.set()

    def flush(self, seconds: float) -> bool:
        """Waits until all is written, at most so long. Whether it is."""
        return self._idle.wait(seconds)

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._urgent.wait(TOGETHER)  # lines that come close together are one write, and one turn of the lock
            self._urgent.clear()
            self._news.clear()
            while lines := self._take():
                written = self._put(b"".join(lines))
                if not written:
                    with self._lock:
                        self._dropped += len(lines)
                        self.lost += len(lines)
            with self._lock:
                if not self._lines:
                    self._idle.set()

    def _take(self) -> list[bytes]:
        """The oldest lines, and behind them the one that tells what was lost after them."""
        taken: list[bytes] = []
        with self._lock:
            size = 0
            while self._lines and size < PIECE:
                line = self._lines.popleft()
                size += len(line)
                taken.append(line)
            self._size -= size
            if taken and not self._lines and self._dropped and self._notice is not None:
                taken.append(self._notice(self._dropped).encode("utf-8", "backslashreplace") + b"\n")
                self._dropped = 0
        return taken

    def _put(self, data: bytes) -> bool:
        """Whether the descriptor took it. A full pipe is waited for; a closed one or a full disk loses the lines."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True


def last_words(text: str, descriptor: int = 2, seconds: float = 1.0) -> None:
    """One line as the process ends, without waiting longer than so for a reader."""
    try:
        if select.select([], [descriptor], [], seconds)[1]:
            os.write(descriptor, text.encode("utf-8", "backslashreplace")[: select.PIPE_BUF - 1] + b"\n")
    except (OSError, ValueError):
        return
