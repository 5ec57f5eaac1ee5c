"""Flows compiled into the executable: a zip appended to a copy of it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "reactor-flows/"


def executable() -> Path | None:
    """The frozen executable that runs now; None from source."""
    return Path(sys.executable) if getattr(sys, "frozen", False) else None


def bundled(path: Path | None = None) -> list[str]:
    """Names of the files in an executable's bundle."""
    path = path if path is not None else executable()
    if path is None:
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if name.startswith(PREFIX)]
    except (zipfile.BadZipFile, OSError):
        return []


@contextlib.contextmanager
def unpack() -> Iterator[Path | None]:
    """The bundle's flows as a private directory, while the daemon runs; None without a bundle."""
    path = executable()
    names = bundled(path)
    if path is None or not names:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="reactor-flows-") as folder, zipfile.ZipFile(path) as archive:
        for name in names:
            relative = name.removeprefix(PREFIX)
            target = Path(folder) / relative
            if ".." in Path(relative).parts or relative.startswith("/") or name.endswith("/"):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
        yield Path(folder)


def append(source: Path, flows: list[Path], output: Path) -> int:
    """Writes a copy of an executable with the files of flow directories behind it; the number of files."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        partial = Path(file.name)
    try:
        partial.write_bytes(_without_bundle(source))
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
        partial.chmod(0o755)
        partial.replace(output)
        return count
    finally:
        partial.unlink(missing_ok=True)


def _without_bundle(source: Path) -> bytes:
    """The executable alone, so that bundling from a bundle replaces its flows."""
    data = source.read_bytes()
    if bundled(source):
        with zipfile.ZipFile(source) as archive:
            first = min(info.header_offset for info in archive.infolist())
        return data[:first]
    return data
