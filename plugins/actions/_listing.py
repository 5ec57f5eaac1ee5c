"""The files under a folder, found by descriptors: no link leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from plugins.actions._place import Place
from reactor.contracts.errors import StepFailed
from reactor.contracts.names import name_of, text_of
from reactor.kit.globs import compile_glob
from reactor.kit.roots import refused

DEEPEST = 200
"""Folders within one another that are looked into."""

Found = tuple[Place, os.stat_result]


def files_under(folder: Place, pattern: str, most: int, look: Callable[[], None]) -> list[Found]:
    """Regular files whose path below the folder fits the glob, in order of their paths. `look` raises when nobody waits
    any more. Raises StepFailed for more than `most`."""
    glob = relative_glob(pattern)
    matches, may_enter = compile_glob(glob), _folders_of(glob)
    found: list[tuple[tuple[str, ...], os.stat_result]] = []
    stack: list[tuple[str, ...]] = [()]
    while stack:
        look()
        above = stack.pop()
        try:
            descriptor = (folder.child(*above) if above else folder).open_folder()
        except (FileNotFoundError, NotADirectoryError, PermissionError, StepFailed):
            if not above:
                raise
            continue  # it went, became a link, or may not be read
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    parts = (*above, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        if not may_enter(parts):
                            continue
                        if len(parts) > DEEPEST:
                            raise StepFailed("limit", f"{folder} has more than {DEEPEST} folders within one another")
                        stack.append(parts)
                    elif matches("/".join(parts)):
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        if stat.S_ISREG(status.st_mode):
                            found.append((parts, status))
                            if len(found) > most:
                                raise StepFailed("limit", f"more than {most:,} files fit {text_of(pattern)}")
        finally:
            os.close(descriptor)
    return [(folder.child(*parts), status) for parts, status in sorted(found)]


def relative_glob(pattern: str) -> str:
    """The pattern as the operating system spells names. Raises StepFailed for one that leaves the folder."""
    try:
        glob = name_of(pattern).removeprefix("./")
    except ValueError as error:
        raise refused(f"pattern: {error}") from None
    if not glob or glob.startswith("/") or ".." in glob.split("/"):
        raise refused("the pattern leaves the folder" if glob else "the pattern is empty")
    return glob


def _folders_of(glob: str) -> Callable[[tuple[str, ...]], bool]:
    """A test whether files that fit may be below a folder."""
    parts = glob.split("/")[:-1]
    fixed = next((place for place, part in enumerate(parts) if "**" in part), None)
    tests = [compile_glob(part) for part in parts[:fixed]]

    def may_enter(path: tuple[str, ...]) -> bool:
        if fixed is None and len(path) > len(tests) and "**" not in glob:
            return False
        return all(test(name) for test, name in zip(tests, path, strict=False))

    return may_enter
