"""When a plugin's folder has changed: its manifest, the files that its command names, and its sources."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from plugins.host.manifest import FILE, ManifestError, load_manifest

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, time of change in ns, size and inode of each file."""
SOURCES = frozenset({".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".pl", ".lua", ".sh", ".jar", ".so", ".wasm"})
LEFT_OUT = frozenset({"__pycache__", "node_modules", "vendor", "venv"})
MAX_FILES = 1_000


def stamp(folder: Path) -> Stamp | None:
    """The state of the files that make the program; None when the manifest is gone."""
    try:
        first = _one(folder / FILE, FILE)
    except OSError:
        return None
    found = [first]
    for name in sorted(_named(folder)):
        try:
            found.append(_one(folder / name, name))
        except OSError:
            continue
    return tuple(found)


def _one(path: Path, name: str) -> tuple[str, int, int, int]:
    status = path.stat()
    return name, status.st_mtime_ns, status.st_size, status.st_ino


def _named(folder: Path) -> set[str]:
    found = set(_sources(folder))
    try:
        command = load_manifest(folder)[0].command
    except ManifestError:
        command = []
    found.update(part for part in command if "\0" not in part and (folder / part).is_file())
    return found


def _sources(folder: Path) -> Iterator[str]:
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in LEFT_OUT)
        for name in files:
            if Path(name).suffix in SOURCES:
                yield os.path.relpath(Path(place) / name, folder)
                count += 1
                if count >= MAX_FILES:
                    return
