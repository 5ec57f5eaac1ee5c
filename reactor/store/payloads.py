"""What is too large for a row: files beside the database, named by their content, so that equal ones are kept once.

A file is whole and synced before the row that names it is committed, and goes after the last row that named it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reactor.contracts.event import Upload
from reactor.store.codec import CorruptRecord
from reactor.store.sqlite.files import owner_only, private, sync_folder

LARGE = 64 * 1024
"""Bytes from which a value stands in a file."""
MARK = b"\0"
"""First byte of a column that names a file; JSON never begins with it."""
FOLDERS = "[0-9a-f][0-9a-f]"
FORGOTTEN = 3600.0
"""Seconds after which a file that no row names is swept: no upload takes that long to be accepted."""


class Payloads:
    """`folder/ab/cdef…` by SHA-256; `folder/incoming` holds uploads that are not accepted yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.total = 0
        """Bytes of all files, once `measure` has looked."""

    def measure(self) -> None:
        """Learns what there is, and closes it to others, whoever made it."""
        total = 0
        for folder in (self.folder, self.incoming, *self.folder.glob(FOLDERS)):
            if folder.is_dir():
                private(folder, 0o700)
        for _, path in self.all():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
                private(path, 0o600)
        self.total = total

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256[2:]

    def clear_incoming(self) -> None:
        """What was still coming in when the last process ended goes."""
        if self.incoming.is_dir():
            for left in self.incoming.iterdir():
                left.unlink(missing_ok=True)

    def put(self, data: bytes) -> str:
        """Keeps the bytes; their SHA-256 in hexadecimal. Raises OSError."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.path(sha256).exists():
            self.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self.incoming / f"{sha256}.{os.getpid()}"
            try:
                with os.fdopen(owner_only(partial, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._place(partial, sha256)
            finally:
                partial.unlink(missing_ok=True)
        return sha256

    def adopt(self, upload: Upload) -> None:
        """Takes an uploaded file over, synced by who wrote it. Raises OSError."""
        source = Path(upload.path)
        if not self.path(upload.sha256).exists():
            self._place(source, upload.sha256)
        source.unlink(missing_ok=True)

    def _place(self, source: Path, sha256: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        private(source, 0o600)
        size = source.stat().st_size
        source.replace(target)
        self.total += size
        for folder in (target.parent, self.folder):
            sync_folder(folder)

    def get(self, sha256: str) -> bytes:
        """Raises CorruptRecord for a file that is gone or not what it was."""
        try:
            data = self.path(sha256).read_bytes()
        except OSError as error:
            raise CorruptRecord(f"the payload {sha256[:12]}… cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptRecord(f"the payload {sha256[:12]}… is damaged")
        return data

    def remove(self, sha256: str) -> None:
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.total -= size

    def all(self) -> Iterator[tuple[str, Path]]:
        for folder in sorted(self.folder.glob(FOLDERS)):
            for path in sorted(folder.iterdir()):
                yield folder.name + path.name, path

    def sweep(self, named: Callable[[str], bool]) -> int:
        """Removes files that no row names, left by a crash between file and row; how many."""
        removed = 0
        for sha256, path in self.all():
            try:
                old = time.time() - path.stat().st_mtime > FORGOTTEN
            except OSError:
                continue
            if old and not named(sha256):
                self.remove(sha256)
                removed += 1
        return removed
