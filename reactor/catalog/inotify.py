"""What the Linux kernel tells about directories. Names are bytes, as the kernel has them, and a name that was moved to
its place is told apart from one that is being written: watchfiles can do neither, it ends at a name that is not UTF-8.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

import anyio

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLY_DIRECTORIES, _IS_DIRECTORY = 0x01000000, 0x40000000
_MASK = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
    | _ONLY_DIRECTORIES
)  # fmt: skip
_HEAD = struct.Struct("iIII")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "lustre", "afs", "vboxsf", "virtiofs", "prl_fs")
"""Kinds of file systems on which another machine may write without our kernel's knowing."""


class Told(NamedTuple):
    """One notice. `name` is empty when it is about the directory itself; with `lost`, nobody knows what happened."""

    directory: str
    name: str
    folder: bool
    """Whether the name is a directory."""
    moved_in: bool
    """The name was moved to its place, complete: nobody wrote there."""
    lost: bool = False


class Directories:
    """Directories that the kernel watches, each by itself: what is under them is added by whoever walks there. Adding
    one before it is listed leaves no gap. Raises OSError where the kernel has no notices, or no more of them."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._add = libc.inotify_add_watch
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), None)
        self._paths: dict[int, str] = {}

    def add(self, directory: str) -> None:
        """One that is watched already is known by this path from now on; one that is not there is left out."""
        try:
            number = _checked(self._add(self._fd, os.fsencode(directory), _MASK), directory)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        self._paths[number] = directory

    async def wait(self) -> None:
        """Until there is something to read."""
        await anyio.wait_readable(self._fd)

    def read(self) -> list[Told]:
        """What was told since the last reading."""
        found: list[Told] = []
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return found
            place = 0
            while place < len(data):
                number, mask, _, length = _HEAD.unpack_from(data, place)
                name = data[place + _HEAD.size : place + _HEAD.size + length].partition(b"\0")[0]
                place += _HEAD.size + length
                directory = self._paths.get(number)
                if mask & _IGNORED:
                    self._paths.pop(number, None)
                if mask & _OVERFLOW:
                    found.append(Told("", "", False, False, True))
                elif directory is not None:
                    moved = bool(mask & _MOVED_TO)
                    found.append(Told(directory, os.fsdecode(name), bool(mask & _IS_DIRECTORY), moved))

    def close(self) -> None:
        os.close(self._fd)


def _checked(answer: int, path: str | None) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return answer


def untold(directory: str) -> str | None:
    """The kind of a file system on which the kernel does not see every change; None for one of this machine."""
    best, kind = -1, ""
    path = os.path.realpath(directory)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            for line in file:
                left, _, right = line.partition(" - ")
                point = left.split(" ")[4].encode().decode("unicode_escape") if "\\" in left else left.split(" ")[4]
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= best:
                    best, kind = len(point), right.split(" ")[0]
    except (OSError, IndexError, UnicodeError):
        return None
    return kind if kind.startswith(_REMOTE) else None
