"""Native libraries that few flows need, packed so that the one-file executable does not unpack them at each start.

PyInstaller unpacks every library of a one-file executable before it begins. Those of the packages below travel as one
zip each, which `unpack` opens at the first import of the package.
"""

from __future__ import annotations

import importlib.abc
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

LAZY = {
    "psycopg2": ("psycopg2/", "psycopg2_binary.libs/"), "asyncpg": ("asyncpg/",), "jsonschema_rs": ("jsonschema_rs/",),
    "google": ("google/_upb/",), "re2": ("re2/",), "charset_normalizer": ("charset_normalizer/",),
    "grpc": ("grpc/_cython/",), "cramjam": ("cramjam/",),
}  # fmt: skip
"""Packages, and where their libraries stand in the archive."""
FOLDER = "packs"
MOMENT = (2023, 11, 14, 22, 13, 20)


def pack(binaries: list[Any], folder: Path) -> tuple[list[Any], list[Any]]:
    """Splits PyInstaller's (name, file, kind) list: what stays, and the zips as data. The same files give the same
    bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: dict[str, list[tuple[str, str]]] = {name: [] for name in LAZY}
    stays = []
    for entry in binaries:
        package = next((p for p, places in LAZY.items() if entry[0].startswith(places)), None)
        if package is None or entry[2] == "SYMLINK":
            if package is None:
                stays.append(entry)
            continue
        taken[package].append((entry[0], entry[1]))
    datas = []
    for package, files in taken.items():
        target = folder / f"{package}.zip"
        with (
            zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
            tempfile.TemporaryDirectory() as work,
        ):
            for name, file in sorted(files):
                stripped = Path(work) / "lib"
                shutil.copyfile(file, stripped)
                subprocess.run(["strip", "--strip-unneeded", str(stripped)], check=False, capture_output=True)
                info = zipfile.ZipInfo(name, MOMENT)
                info.external_attr = 0o755 << 16
                archive.writestr(info, stripped.read_bytes(), zipfile.ZIP_DEFLATED, 9)
        datas.append((f"{FOLDER}/{package}.zip", str(target), "DATA"))
    return stays, datas


class Unpack(importlib.abc.MetaPathFinder):
    """Finds nothing itself: at the first look for a packed package its libraries are put where they would be."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._left = {name for name in LAZY if (root / FOLDER / f"{name}.zip").exists()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        package = name.partition(".")[0]
        if package in self._left:
            with self._lock:
                if package in self._left:
                    with zipfile.ZipFile(self._root / FOLDER / f"{package}.zip") as archive:
                        archive.extractall(self._root)
                    self._left.discard(package)


def install() -> None:
    """In the executable: packed packages are unpacked when they are imported."""
    root = getattr(sys, "_MEIPASS", None)
    if root is not None and (Path(root) / FOLDER).is_dir():
        sys.meta_path.insert(0, Unpack(Path(root)))
