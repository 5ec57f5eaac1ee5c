"""A consistent copy of an embedded store as one file, while it is in use; and back."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from pathlib import Path

import apsw

from reactor.contracts.errors import ConfigError
from reactor.store.sqlite.files import DirectoryLock, owner_only, private, private_directory, sync_folder
from reactor.store.sqlite.schema import migrations

DATABASE = "reactor.db"
PAGES = 2000
"""Pages copied between two looks for writers."""


def backup(directory: Path, target: Path) -> dict[str, int]:
    """Writes `target`, a tar of the database and its payloads; counts of what is in it. The daemon may run. Raises
    ConfigError."""
    source = directory / DATABASE
    if not source.exists():
        raise ConfigError(f"{directory} holds no store; name the data directory with --data DIR")
    if target.exists():
        raise ConfigError(f"{target} exists already; a backup never writes over one")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
            copy = Path(folder) / DATABASE
            _copy(source, copy)
            count = _refuse_damaged(copy)
            partial = Path(folder) / "backup.tar"
            os.close(owner_only(partial, os.O_WRONLY))
            payloads = _pack(copy, directory / "payloads", partial)
            partial.replace(target)
            return {"runs": count, "payloads": payloads, "bytes": target.stat().st_size}
    except (apsw.Error, OSError) as error:
        raise ConfigError(f"the backup failed: {error}") from None


def _copy(source: Path, copy: Path) -> None:
    """SQLite's online backup: what is committed meanwhile is in it or not, but never half."""
    reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    writer = apsw.Connection(str(copy))
    with contextlib.closing(reader), contextlib.closing(writer):
        reader.set_busy_timeout(30_000)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with writer.backup("main", reader, "main") as work:
            while not work.done:
                work.step(PAGES)
        reader.execute("COMMIT")
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 'yes')")


def _refuse_damaged(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            raise ConfigError(f"the store is damaged: {found[0]}")
        version = int(connection.pragma("user_version"))
        if not 1 <= version <= migrations()[-1][0]:
            raise ConfigError(f"the store has schema {version}, which this reactor does not know")
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])  # type: ignore[index]
    except apsw.Error as error:
        raise ConfigError(f"this is no store: {error}") from None
    finally:
        connection.close()


def _pack(database: Path, payloads: Path, target: Path) -> int:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    names = [row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM payload_refs ORDER BY sha256")]
    connection.close()
    count = 0
    with tarfile.open(target, "w") as archive:
        archive.add(database, DATABASE, recursive=False)
        for name in names:
            path = payloads / name[:2] / name[2:]
            if path.exists():
                archive.add(path, f"payloads/{name[:2]}/{name[2:]}", recursive=False)
                count += 1
    return count


def restore(source: Path, directory: Path) -> dict[str, int]:
    """Puts a backup into a data directory that holds no store. Raises ConfigError."""
    if not source.exists():
        raise ConfigError(f"{source} does not exist")
    there = directory / DATABASE
    if there.exists() and there.stat().st_size:
        raise ConfigError(f"{directory} holds a store already; move it away, or name another with --data DIR")
    private_directory(directory)
    lock = DirectoryLock(directory)
    lock.acquire()
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=".restore-") as folder:
            payloads = _unpack(source, Path(folder))
            database = Path(folder) / DATABASE
            if not database.exists():
                raise ConfigError(f"{source} is no backup of a reactor store")
            count = _refuse_damaged(database)
            _place(Path(folder) / "payloads", directory / "payloads")
            with database.open("rb") as file:
                os.fsync(file.fileno())
            private(database, 0o600)
            database.replace(directory / DATABASE)
            sync_folder(directory)
            return {"runs": count, "payloads": payloads}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ConfigError(f"{source} cannot be restored: {error}") from None
    finally:
        lock.release()


def _place(unpacked: Path, target: Path) -> None:
    """Payloads are named by their content: those that are there already stay."""
    for path in unpacked.glob("*/*"):
        place = target / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not place.exists():
            path.replace(place)
            sync_folder(place.parent)
    if target.is_dir():
        private(target, 0o700)
        sync_folder(target)


def _unpack(source: Path, folder: Path) -> int:
    count = 0
    with tarfile.open(source, "r:") as archive:
        for member in archive:
            parts = member.name.split("/")
            payload = len(parts) == 3 and parts[0] == "payloads" and (parts[1] + parts[2]).isalnum()
            if not member.isreg() or not (member.name == DATABASE or payload):
                raise ConfigError(f"{source} is no backup of a reactor store: it holds {member.name}")
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            reader = archive.extractfile(member)
            assert reader is not None
            with os.fdopen(owner_only(target, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                while chunk := reader.read(1024 * 1024):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            count += payload
    return count
