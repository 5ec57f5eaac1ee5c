"""The directories of flows and the files in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.loader import refuse_package
from flows.problems import Problem
from flows.tree import Found, in_order, scan, sort_of
from reactor.catalog.news import Unreadable
from reactor.contracts.text import is_text, shown


@dataclass
class Walk:
    """All files of all directories by path, with their sort and state; all folders; names that cannot be used."""

    files: dict[str, tuple[str, Found]]
    folders: set[str]
    problems: list[Problem]


class FlowDirectories:
    """A bundle's directory comes first."""

    def __init__(self, directories: Sequence[Path], bundle: Path | None) -> None:
        self.watched = [str(directory) for directory in directories]
        self._bundle = str(bundle) if bundle is not None else None
        self._all = [*([self._bundle] if self._bundle is not None else []), *self.watched]
        self._seen: set[str] = set()

    def walk(self, enter: Callable[[str], None] | None) -> Walk:
        """`enter` is called with each folder before it is listed. Raises Unreadable."""
        walk = Walk({}, set(), [])
        for directory in self._all:
            self._check(directory)
            tree = scan(directory, enter)
            walk.folders |= tree.folders
            walk.problems += tree.problems()
            for path in sorted(tree.files, key=in_order):
                sort = sort_of(path[len(directory) :].lstrip("/"))
                if sort is not None:
                    walk.files.setdefault(path, (sort, tree.files[path]))
        return walk

    def _check(self, directory: str) -> None:
        """Raises Unreadable for what cannot be a directory of flows, or was one and is gone."""
        if not is_text(directory):
            raise Unreadable(shown(directory), f"the name of the directory {shown(directory)} is not UTF-8")
        try:
            refuse_package(Path(directory))
        except ValueError as error:
            raise Unreadable(directory, str(error)) from None
        if Path(directory).is_dir():
            self._seen.add(directory)
        elif directory in self._seen:
            raise Unreadable(directory, "the directory is gone; its flows run on until it is back")

    def sort(self, path: str) -> str | None:
        """What a file in a watched directory is for; None for one that the daemon does not read."""
        directory = next((one for one in self.watched if is_inside(path, one)), None)
        return sort_of(path[len(directory) :].lstrip("/")) if directory is not None else None

    def order(self, path: str) -> int:
        """The number of the file's directory."""
        return next((number for number, one in enumerate(self._all) if is_inside(path, one)), 0)

    def is_bundled(self, path: str) -> bool:
        return self._bundle is not None and is_inside(path, self._bundle)


def is_inside(path: str, directory: str) -> bool:
    return path.startswith(f"{directory.rstrip('/')}/")
