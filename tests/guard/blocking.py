"""Calls that block, made by the product on the thread of an event loop: all other work would stand still meanwhile.

It looks at which call is made, not at how long it takes, so a busy machine changes nothing. Calls of a test itself are
its own affair.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PRODUCT = tuple(f"{ROOT / package}/" for package in ("reactor", "flows", "triggers", "plugins"))
TESTING = (f"{ROOT / 'tests'}/", f"{ROOT / 'reactor/testing'}/")

found: list[str] = []
"""The stacks of such calls since the last look."""


def watch() -> None:
    """From now on, in this process."""
    _replace(time, "sleep", lambda seconds: seconds > 0)
    _replace(subprocess.Popen, "wait", lambda process, *rest, **options: process.poll() is None)
    _replace(threading.Thread, "join", lambda thread, *rest, **options: thread.is_alive())
    _replace(threading.Condition, "wait", lambda condition, timeout=None: timeout is None or timeout > 0)
    _replace(socket, "getaddrinfo", lambda *rest, **options: True)
    for name in ("connect", "recv", "recv_into", "send", "sendall"):
        _replace(socket.socket, name, lambda one, *rest, **options: one.gettimeout() != 0)


def taken() -> list[str]:
    """What was found since the last call."""
    here = found[:]
    found.clear()
    return here


def _replace(owner: Any, name: str, blocks: Callable[..., bool]) -> None:
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def watched(*arguments: Any, **options: Any) -> Any:
        if _on_a_loop() and blocks(*arguments, **options) and _by_the_product(sys._getframe(1)):
            where = "".join(traceback.format_stack(sys._getframe(1), limit=12))
            found.append(f"{getattr(owner, '__name__', owner)}.{name} on the event loop:\n{where}")
        return plain(*arguments, **options)

    setattr(owner, name, watched)


def _on_a_loop() -> bool:
    if asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _by_the_product(frame: FrameType | None) -> bool:
    """Whether the nearest code of this repository is the product's."""
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code is threading.Thread.start.__code__:
            return False  # it waits for a moment until the thread is there
        if file.startswith(TESTING):
            return False
        if file.startswith(PRODUCT):
            return True
        frame = frame.f_back
    return False
