"""No process outlives the session of tests that started it, however the session ends."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.guard import reaper

VARIABLE = "REACTOR_TEST_SESSION"
GRACE = 10.0
"""Seconds in which processes that were told to end may do so when the session is over."""

HELPER = "from multiprocessing.resource_tracker import main"
"""Python's own process beside one that uses multiprocessing; it ends with it."""

expected = True
"""Whether the test that runs may start a daemon or a server: those with the mark may."""

folder: Path | None = None
"""Where servers of this session keep what is theirs; None outside of a session. Other users may pass through it."""


class Session:
    """All processes of one session inherit a variable, and work in its folders; by these they are found. Beside it runs
    a process of its own session, the reaper, which ends them when this one is gone: also after SIGKILL, when no
    `finally` runs here. Each worker of xdist is a session; sessions within sessions and beside them are kept apart."""

    def __init__(self, base: Path) -> None:
        global folder
        folder = Path(tempfile.mkdtemp(prefix="reactor-tests-"))
        folder.chmod(0o755)
        token = secrets.token_hex(8)
        self._outer = os.environ.get(VARIABLE, "")
        self._marks = reaper.Marks(token, reaper.started("self"), (str(folder), str(base)))
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, token, str(self._marks.start), *self._marks.folders],
            stdin=subprocess.PIPE, start_new_session=True, cwd="/",
        )  # fmt: skip
        os.environ[VARIABLE] = f"{self._outer} {token}".strip()

    def running(self) -> list[reaper.Found]:
        return [one for one in reaper.running(self._marks) if HELPER not in one.command]

    def end(self) -> list[reaper.Found]:
        """What still ran, and was killed, after a time in which it could end by itself."""
        last = time.monotonic() + GRACE
        while (left := self.running()) and time.monotonic() < last:
            time.sleep(0.05)
        os.environ[VARIABLE] = self._outer
        assert self._reaper.stdin is not None
        self._reaper.stdin.close()
        self._reaper.wait()
        return left
