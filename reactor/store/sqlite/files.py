"""What the embedded store asks of its directory: one process, a local file system, room to write, closed to others."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

from reactor.contracts.errors import ConfigError

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "lustre",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "davfs", "fuse.davfs2",
})  # fmt: skip
RESERVE = 2 * 1024 * 1024
"""Bytes of the reserve on a large volume; on a small one a 32nd of it."""


def private(path: Path, mode: int) -> None:
    """Closes a file or a folder to others, where it is ours to close."""
    with contextlib.suppress(PermissionError, FileNotFoundError):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(mode)


def owner_only(path: Path, flags: int) -> int:
    """A descriptor of a file; a new one is for its owner only."""
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """The lock file and the directory itself, both held by descriptor for life. The file names the process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "reactor.lock"
        self._held: dict[Path, int] = {}
        self._identity: tuple[int, int] | None = None
        """Device and inode of the lock file."""

    def acquire(self) -> None:
        """Raises ConfigError, with the pid, when another daemon has the directory."""
        try:
            self._take(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            descriptor = self._take(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
            status = os.fstat(descriptor)
            self._identity = status.st_dev, status.st_ino
            if not stat.S_ISREG(status.st_mode):
                raise OSError("it is not a regular file")
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except ConfigError:
            self.release()
            raise
        except OSError as error:
            self.release()
            reason = error.strerror or str(error)
            raise ConfigError(
                f"the lock file {self._path} cannot be used ({reason}); remove it, or move it away"
            ) from None

    def _take(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._held[path] = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another reactor (pid {self._holder()}) uses the data directory {self._directory};"
                " stop it, or give this one its own with --data DIR"
            ) from None
        return descriptor

    def _holder(self) -> str:
        try:
            return self._path.read_bytes()[:100].decode("ascii", "replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def lost(self) -> str | None:
        """Why the lock holds no more: the file or the directory is not the one that was locked. None while it does.
        Asked before each commit, so it is one system call while the file at the path is the one that was locked."""
        try:
            status = self._path.stat()
            if (status.st_dev, status.st_ino) == self._identity:
                return None
        except OSError:
            pass
        for path, descriptor in self._held.items():
            mine = os.fstat(descriptor)
            try:
                there = path.stat()
            except OSError:
                return f"{path} was deleted while this reactor used it; nothing more is written"
            if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
                return f"{path} was replaced while this reactor used it; nothing more is written"
        return None

    def release(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()


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


def refuse_lost(directory: Path) -> None:
    """Raises ConfigError when payloads or a log stand beside a database that is gone or empty: to begin anew there
    would hide the loss."""
    database = directory / "reactor.db"
    if database.exists() and database.stat().st_size:
        return
    log = directory / "reactor.db-wal"
    beside = None
    if any(path.is_file() for path in directory.glob("payloads/[0-9a-f][0-9a-f]/*")):
        beside = "payloads"
    elif log.exists() and log.stat().st_size:
        beside = log.name
    if beside is not None:
        state = "empty" if database.exists() else "missing"
        raise ConfigError(
            f"{database} is {state}, but {directory / beside} is there: the store was lost or moved. Put the database"
            f" back, or restore a backup (`reactor restore FILE`); to begin anew, move {directory / beside} away"
            + (" and remove the empty file" if state == "empty" else "")
        )


class FreeSpace:
    """Whether there is more room than the floor: on the disk, and in the free pages of the store's own file (`spare`,
    in bytes); the disk is looked at once a second at most."""

    def __init__(self, directory: Path, floor: int) -> None:
        self._directory = directory
        self.floor = floor
        self._next = 0.0
        self._free = 0
        self.spare = 0

    def low(self) -> bool:
        if not self.floor:
            return False
        return self.free() + self.spare < self.floor

    def tight(self) -> bool:
        """Whether the disk alone has less than the floor."""
        return bool(self.floor) and self.free() < self.floor

    def free(self) -> int:
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + 1.0
            try:
                status = os.statvfs(self._directory)
                self._free = status.f_bavail * status.f_frsize
            except OSError:
                self._free = 0
        return self._free


def half_of_volume(directory: Path) -> int:
    """Half of what the volume of a directory has, in bytes."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.absolute().parent
    status = os.statvfs(directory)
    return status.f_blocks * status.f_frsize // 2


class Reserve:
    """A file that holds room on the disk. When it is full, giving the file up lets the store write what frees more."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reactor.reserve"
        self._directory = directory

    def hold(self, floor: int) -> None:
        """Makes the file where there is room for it and for the floor; else there is none."""
        try:
            status = os.statvfs(self._directory)
            size = min(RESERVE, status.f_blocks * status.f_frsize // 32)
            private(self._path, 0o600)
            there = self._path.stat().st_size if self._path.exists() else 0
            if there >= size or status.f_bavail * status.f_frsize < size + floor:
                return
            descriptor = owner_only(self._path, os.O_RDWR)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError:
            self.give()

    def give(self) -> bool:
        """Removes the file; True when there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def private_directory(directory: Path) -> None:
    """Makes the data directory, and closes it to others, whoever made it. Raises ConfigError when that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not directory.stat().st_mode & stat.S_ISVTX:
            private(directory, 0o700)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(None, "permission denied")
    except OSError as error:
        raise ConfigError(
            f"the data directory {directory} cannot be written: {error.strerror or error}; name another with --data DIR"
        ) from None


def private_file(path: Path) -> None:
    """Makes a file for its owner only; one that is there is closed to others, with the logs beside it."""
    os.close(owner_only(path, os.O_RDWR))
    for suffix in ("", "-wal", "-shm", "-journal"):
        private(path.with_name(path.name + suffix), 0o600)
