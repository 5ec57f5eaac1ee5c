"""One walk over a directory of flows: which files there are, how they stand, and which names nobody can write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from flows.problems import Problem
from reactor.contracts.text import is_text, shown

SUFFIXES = (".yaml", ".yml", ".json")
NOT_FLOWS = frozenset({"collections", "connections", "forms", "schemas"})
TESTS = (".test.yaml", ".test.yml")
MAX_NAMES = 20
"""Names that are reported one by one."""
MAX_HIDDEN = 1000
"""Entries of a hidden folder whose names are looked at."""


class Found(NamedTuple):
    """How a file stands. `changed` is its ctime: nobody can set it back."""

    modified: int
    size: int
    inode: int
    changed: int
    link: bool = False


@dataclass
class Tree:
    files: dict[str, Found] = field(default_factory=dict)
    """Files with a suffix of ours by path; hidden ones and those of hidden folders are left out."""
    folders: set[str] = field(default_factory=set)
    """The folders that were listed."""
    refused: list[str] = field(default_factory=list)
    """Flow files, and files of definitions, whose path is not UTF-8."""
    odd: list[str] = field(default_factory=list)
    """Other names that are not UTF-8."""

    def problems(self) -> list[Problem]:
        """What is skipped because of its name; many of a kind are counted."""
        found = [
            Problem(shown(path), 1, 1, "the name of the file is not UTF-8; it is not loaded: rename it")
            for path in self.refused[:MAX_NAMES]
        ]
        found += [
            Problem(shown(path), 1, 1, "the name is not UTF-8; it is skipped", "warning")
            for path in self.odd[:MAX_NAMES]
        ]
        for paths, severity in ((self.refused, "error"), (self.odd, "warning")):
            more = len(paths) - MAX_NAMES
            if more > 0:
                text = f"{more:,} more names are not UTF-8"
                found.append(Problem(shown(os.path.dirname(paths[0])), 1, 1, text, severity))  # noqa: PTH120
        return found


def in_order(path: str) -> list[str]:
    """The key by which files are sorted: part by part."""
    return path.split("/")


def is_ours(name: str) -> bool:
    """Whether a file of the name may be a flow or a definition."""
    return name.endswith(SUFFIXES) and not name.startswith(".") and name not in SUFFIXES


def how(path: str) -> Found | None:
    """How a regular file stands; None when there is none. Raises OSError when the disk fails."""
    try:
        status = os.stat(path)  # noqa: PTH116 - names that are not UTF-8, and many of them
        link = stat.S_ISLNK(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns, link)


def scan(directory: str, enter: Callable[[str], None] | None = None) -> Tree:
    """Walks. `enter` is called with each folder before it is listed. Raises OSError when the disk fails."""
    tree = Tree()
    folders = [directory]
    while folders:
        folder = folders.pop()
        if enter is not None:
            enter(folder)
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        tree.folders.add(folder)
        for entry in listed:
            _take(tree, entry, folders, enter)
    tree.refused.sort()
    tree.odd.sort()
    return tree


def _take(tree: Tree, entry: os.DirEntry[str], folders: list[str], enter: Callable[[str], None] | None) -> None:
    name = entry.name
    try:
        if entry.is_dir(follow_symlinks=False):
            if name.startswith("."):
                _hidden(tree, entry.path, enter)
            else:
                folders.append(entry.path)
        elif is_ours(name) and entry.is_file():
            if is_text(entry.path):
                status = entry.stat()
                tree.files[entry.path] = Found(
                    status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns, entry.is_symlink()
                )
            else:
                tree.refused.append(entry.path)
            return
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    if not is_text(name):
        tree.odd.append(entry.path)


def _hidden(tree: Tree, folder: str, enter: Callable[[str], None] | None) -> None:
    """Of a hidden folder (`.git`) only the names directly in it are looked at."""
    if enter is not None:
        enter(folder)
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_HIDDEN), entries, strict=False):
                if not is_text(entry.name):
                    tree.odd.append(entry.path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


def sort_of(relative: str) -> str | None:
    """What a file is by its path under a directory of flows: flow, connection, collection, or None for others."""
    *inside, name = relative.split("/")
    if inside and inside[-1] == "connections":
        return "connection"
    if inside and inside[-1] == "collections":
        return "collection"
    if NOT_FLOWS.intersection(inside) or name.endswith(TESTS):
        return None
    return "flow"
