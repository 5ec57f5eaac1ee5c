"""What the embedded store asks of its directory: one process, a local file system, room to write."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from reactor.contracts.errors import ConfigError

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "lustre",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "davfs", "fuse.davfs2",
})  # fmt: skip


class DirectoryLock:
    """The lock file held for life. It names the process that holds it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reactor.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises ConfigError, with the pid, when another daemon has the directory."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise ConfigError(
                f"another reactor (pid {holder}) uses the data directory {self._path.parent};"
                " stop it, or give this one its own with --data DIR"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._file = descriptor

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def refuse_network(directory: Path) -> None:
    """Raises ConfigError when the directory is on a network file system, where locks and syncs cannot be trusted."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    resolved = str(directory.resolve())
    best, kind = "", ""
    for line in lines:
        parts = line.split(" ")
        mount = parts[1].replace("\\040", " ")
        inside = resolved == mount or resolved.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, parts[2]
    if kind in NETWORK:
        raise ConfigError(
            f"{directory} is on a network file system ({kind}); the embedded store needs a local disk: --data DIR"
        )


class FreeSpace:
    """Whether the disk has more room than the floor; looked up at most once a second."""

    def __init__(self, directory: Path, floor: int) -> None:
        self._directory = directory
        self._floor = floor
        self._next = 0.0
        self._low = False

    def low(self) -> bool:
        if not self._floor:
            return False
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + 1.0
            try:
                status = os.statvfs(self._directory)
                self._low = status.f_bavail * status.f_frsize < self._floor
            except OSError:
                self._low = True
        return self._low


def private_directory(directory: Path) -> None:
    """Makes the data directory, for its owner only. Raises ConfigError when that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = directory / ".write"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"the data directory {directory} cannot be written: {error.strerror or error}; name another with --data DIR"
        ) from None
