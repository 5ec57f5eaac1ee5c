"""A time limit for each test, its fixtures included: what hangs shows the stacks of all threads, and fails."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

SECONDS = 120.0
"""Of a test without a mark `limit`."""
STUBBORN = 30.0
"""Seconds after which the process ends, when a test that was interrupted does not."""


stderr = 2
"""The descriptor of the stderr that nobody captures."""


def seconds_of(item: pytest.Item) -> float:
    mark = item.get_closest_marker("limit")
    return SECONDS if mark is None else float(mark.args[0])


@contextlib.contextmanager
def limited(name: str, seconds: float) -> Iterator[None]:
    """Interrupts what runs in the main thread when the time is over. Real time counts: a hang uses no processor. What
    cannot be interrupted ends the process a while later, with the stacks on stderr."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            pytest.fail(f"{name} went on for {seconds:g} s\n{file.read()}", pytrace=False)

    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + STUBBORN, exit=True, file=stderr)
    try:
        yield
    finally:
        off()
        signal.signal(signal.SIGALRM, earlier)


def off() -> None:
    """A person looks at the test in a debugger."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
