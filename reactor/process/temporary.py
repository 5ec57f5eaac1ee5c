"""Temporary folders that a later life of the daemon removes when this one was killed.

Each has a file that its process keeps locked as long as it lives (flock(2)). A folder whose lock is free has no owner
any longer, in whatever container that was.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

OWNER = ".reactor-owner"
PREFIXES = ("_MEI", "reactor-flows-", "reactor-payloads-")
"""What the executable unpacks itself into, a bundle's flows, and payloads of a store in memory."""
_held: list[int] = []
"""Descriptors of our own locks; they are closed when the process ends, however it does."""


def own(folder: Path) -> None:
    """Marks a folder as this process's."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    _held.append(descriptor)


def make(prefix: str) -> Path:
    """A new folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    own(folder)
    return folder


def own_unpacked() -> None:
    """In the one-file executable: the folder that it unpacked itself into."""
    root = _unpacked()
    if root is not None:
        own(root)


def sweep() -> list[Path]:
    """Removes what processes of this user left behind that are dead; the folders removed."""
    root = _unpacked()
    places = {Path(tempfile.gettempdir())} | ({root.parent} if root is not None else set())
    removed = []
    for place in places:
        for prefix in PREFIXES:
            for folder in place.glob(f"{prefix}*"):
                if folder != root and _abandoned(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
    return removed


def _unpacked() -> Path | None:
    if not getattr(sys, "frozen", False):
        return None
    root = Path(str(getattr(sys, "_MEIPASS", "")))
    return root if root.name.startswith("_MEI") else None


def _abandoned(folder: Path) -> bool:
    try:
        if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
            return False
        descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
