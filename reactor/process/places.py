"""Where a daemon of this machine is found: its socket, and the pointer that says where the socket is.

The socket is in the data directory, unless its path is too long for a socket; then it has a shorter place. Each daemon
also writes a pointer (`<data's hash>.json` with `pid data socket url`) into the user's runtime folder, so that commands
find it from any directory.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

import msgspec

LONGEST = 107
"""Bytes of a socket's path (unix(7): 108 with the closing zero)."""
SYSTEM = Path("/run/reactor")


class Pointer(msgspec.Struct, frozen=True):
    """Where one daemon is. `socket` is None for a store in memory."""

    pid: int
    data: str
    socket: str | None
    url: str


def _folders() -> list[Path]:
    """Runtime folders, the preferred one first."""
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        return [Path(given) / "reactor", *([SYSTEM] if _of_a_service(SYSTEM) else [])]
    return [SYSTEM, _own()]


def _own() -> Path:
    return Path(f"/tmp/reactor-{os.getuid()}")


def _ours(folder: Path) -> bool:
    """Whether the folder exists, is no link, and only this user may write there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _of_a_service(folder: Path) -> bool:
    """Whether another user's service has the folder, which only the system can have made for it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid != os.getuid()


def _writable(longest: int = 4096) -> Path | None:
    """The folder for pointers and short sockets, whose path has at most so many bytes; made when it is missing. None
    where no folder is safe."""
    for folder in (*_folders(), _own()):
        if len(os.fsencode(folder)) > longest:
            continue
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if _ours(folder):
            return folder
    return None


def _name(data: Path) -> str:
    return hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]


def socket_path(data: Path) -> tuple[Path | None, str | None]:
    """The socket's place, and what to tell about it when it is not the data directory."""
    usual = data.absolute() / "reactor.sock"
    length = len(os.fsencode(usual))
    if length <= LONGEST:
        return usual, None
    told = f"the path of the socket {usual} has {length} bytes, and at most {LONGEST} are possible"
    folder = _writable(LONGEST - len(f"/{_name(data)}.sock"))
    if folder is None:
        return None, f"{told}; commands need --server URL, or give --data a shorter path"
    short = folder / f"{_name(data)}.sock"
    return short, f"{told}; the socket is {short}"


def publish(pointer: Pointer) -> Path | None:
    """Writes the pointer; its file, or None where it could not be written."""
    folder = _writable()
    if folder is None:
        return None
    file = folder / f"{_name(Path(pointer.data))}.json"
    partial = file.with_suffix(f".{os.getpid()}")
    try:
        partial.write_bytes(msgspec.json.encode(pointer))
        partial.replace(file)
    except OSError:
        return None
    return file


def withdraw(file: Path | None) -> None:
    """Removes a pointer that `publish` wrote."""
    if file is not None:
        file.unlink(missing_ok=True)


def daemons() -> list[Pointer]:
    """The daemons of this machine that answer, by their pointers."""
    found = {}
    for folder in _folders():
        if not (_ours(folder) or (folder == SYSTEM and _of_a_service(folder))):
            continue
        for file in sorted(folder.glob("*.json")):
            try:
                pointer = msgspec.json.decode(file.read_bytes(), type=Pointer)
            except (OSError, msgspec.DecodeError):
                continue
            if _answers(pointer):
                found[pointer.data] = pointer
    return list(found.values())


def _answers(pointer: Pointer) -> bool:
    if pointer.socket is None:
        return Path(f"/proc/{pointer.pid}").exists()
    return listens(pointer.socket)


def listens(path: str | Path) -> bool:
    """Whether a process accepts connections at this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(5)
        try:
            one.connect(os.fspath(path))
        except (OSError, UnicodeEncodeError):
            return False
    return True
