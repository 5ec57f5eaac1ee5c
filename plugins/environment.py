"""The environment of a program that we start: closed, but for what every program needs."""

from __future__ import annotations

import os
from collections.abc import Iterable

PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")


def inherited(more: Iterable[str] = ()) -> dict[str, str]:
    """What is passed on of ours, and `more` names. A one-file executable's own library path is not."""
    found = {name: os.environ[name] for name in (*PASSED, *more) if name in os.environ}
    original = os.environ.get("LD_LIBRARY_PATH_ORIG")
    if original:
        found["LD_LIBRARY_PATH"] = original
    return found
