"""Files that define something by name beside the flows (`connections/*.yaml`, `collections/*.yaml`): where they stand,
and their documents."""

from __future__ import annotations

from pathlib import Path

from flows.nodes import Node, parse_documents
from flows.problems import Problem
from flows.tree import SUFFIXES, in_order, scan

MAX_FILE = 1024 * 1024


def files_under(directory: Path) -> list[Path]:
    """The files that may be read by us, but hidden ones and those of hidden folders, in order of their paths. What goes
    away while it looks is not there. Raises OSError when the disk fails: what it holds is not known then."""
    return [Path(path) for path in sorted(scan(str(directory)).files, key=in_order)]


def definition_files(directory: Path, folder: str) -> list[Path]:
    """The files of all folders of that name under a directory, in order of their paths. Raises OSError."""
    return [path for path in files_under(directory) if path.parent.name == folder and path.parent != directory]


def definition_documents(path: Path, what: str, has: str) -> tuple[list[Node], list[Problem]]:
    """The documents of a file, or what is wrong with it. `what` is what it defines, `has` what that consists of."""
    file = str(path)

    def broken(message: str) -> tuple[list[Node], list[Problem]]:
        return [], [Problem(file, 1, 1, message)]

    try:
        if path.stat().st_size > MAX_FILE:
            return broken(f"a {what} file has at most 1 MiB")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        return broken(f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError:
        return broken("is not UTF-8 text")
    documents, problems = parse_documents(text, file)
    if problems:
        return [], problems
    return (documents, []) if documents else broken(f"the file is empty; a {what} has {has}")


__all__ = ["MAX_FILE", "SUFFIXES", "definition_documents", "definition_files", "files_under"]
