"""Flows compiled into the executable: a zip appended to a copy of it.

The executable has a section with a mark, which says whether flows belong behind it, how many bytes, and their SHA-256:
a bundle that was cut off or stripped is refused, since without its flows it would be another program.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from reactor.contracts.errors import ConfigError
from reactor.process.temporary import make

PREFIX = "reactor-flows/"
MARK = b"reactor" + b" bundle mark: "
SECTION = ".reactor"
"""The section of the executable that the mark is in: `strip` leaves it."""
SIZE = 96
"""Bytes of the mark's text, behind `MARK`."""
PLAIN = b"none".ljust(SIZE)
_TEXT = re.compile(rb"([0-9]+) bytes, sha256:([0-9a-f]{64}) *")


def executable() -> Path | None:
    """The frozen executable that runs now; None from source."""
    return Path(sys.executable) if getattr(sys, "frozen", False) else None


def bundled(path: Path | None = None) -> list[str]:
    """Names of the files in an executable's bundle. Raises ConfigError for a bundle that is damaged."""
    path = path if path is not None else executable()
    if path is None:
        return []
    try:
        _check(path)
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if name.startswith(PREFIX)]
    except (zipfile.BadZipFile, OSError):
        return []


def _mark(path: Path) -> tuple[int, bytes] | None:
    """Place and text of the mark; None in an executable that has none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.rfind(MARK)
        return None if place < 0 else (place, data[place + len(MARK) : place + len(MARK) + SIZE])


def _check(path: Path) -> None:
    found = _mark(path)
    if found is None or found[1] == PLAIN:
        return
    match = _TEXT.fullmatch(found[1])
    expected = int(match[1]) if match else 0
    behind = path.stat().st_size - found[0] - len(MARK) - SIZE
    if match and behind >= expected:
        with path.open("rb") as file:
            file.seek(-expected, 2)
            if hashlib.file_digest(file, "sha256").hexdigest().encode() == match[2]:
                return
    raise ConfigError(
        f"{path} was made with flows in it, but they are damaged, cut off or stripped; make it again with"
        " `reactor bundle`"
    )


@contextlib.contextmanager
def unpack() -> Iterator[Path | None]:
    """The bundle's flows as a private directory, while the daemon runs; None without a bundle."""
    path = executable()
    names = bundled(path)
    if path is None or not names:
        yield None
        return
    folder = make("reactor-flows-")
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                relative = name.removeprefix(PREFIX)
                target = folder / relative
                if ".." in Path(relative).parts or relative.startswith("/") or name.endswith("/"):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def append(source: Path, flows: list[Path], output: Path) -> int:
    """Writes a copy of an executable with the files of flow directories behind it; the number of files."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        partial = Path(file.name)
    try:
        plain = _without_bundle(source)
        partial.write_bytes(plain)
        count = 0
        with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
            for directory in flows:
                for path in sorted(directory.rglob("*")) if directory.is_dir() else [directory]:
                    relative = path.relative_to(directory) if directory.is_dir() else Path(path.name)
                    if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                        stamp = zipfile.ZipInfo(PREFIX + relative.as_posix(), (1980, 1, 1, 0, 0, 0))
                        stamp.compress_type = zipfile.ZIP_DEFLATED
                        archive.writestr(stamp, path.read_bytes())
                        count += 1
        _write_mark(partial, len(plain))
        partial.chmod(0o755)
        partial.replace(output)
        return count
    finally:
        partial.unlink(missing_ok=True)


def _write_mark(path: Path, start: int) -> None:
    """Says in the mark what stands behind `start`."""
    found = _mark(path)
    if found is None:
        return
    with path.open("r+b") as file:
        file.seek(start)
        text = b"%d bytes, sha256:" % (path.stat().st_size - start)
        text += hashlib.file_digest(file, "sha256").hexdigest().encode()
        file.seek(found[0] + len(MARK))
        file.write(text.ljust(SIZE))


def _without_bundle(source: Path) -> bytes:
    """The executable alone, so that bundling from a bundle replaces its flows."""
    data = bytearray(source.read_bytes())
    if bundled(source):
        with zipfile.ZipFile(source) as archive:
            del data[min(info.header_offset for info in archive.infolist()) :]
    place = data.rfind(MARK)
    if place >= 0:
        data[place + len(MARK) : place + len(MARK) + SIZE] = PLAIN
    return bytes(data)
