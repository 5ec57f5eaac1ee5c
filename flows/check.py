"""`reactor check`: all problems of files and directories, without starting anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.collections import Collection, load_collections
from flows.connections import (
    FOLDER,
    Connection,
    by_name,
    connection_files,
    connection_files_near,
    load_connections,
)
from flows.context import Kinds
from flows.loader import Document, cross_check, flow_files, load_file
from flows.problems import Problem
from flows.tree import scan
from reactor.contracts.text import is_text, shown


def load_paths(paths: Sequence[Path], kinds: Kinds) -> list[Document]:
    """The flows of files and directories, checked each and together. Raises ValueError for a path without flows."""
    return _load(_flow_paths(paths), load_connection_paths(paths, kinds), load_collections(paths, kinds), kinds)


def load_connection_paths(paths: Sequence[Path], kinds: Kinds) -> list[Connection]:
    """The connections that belong to files and directories of flows."""
    files: set[Path] = set()
    for path in paths:
        files.update(connection_files(path) if path.is_dir() else connection_files_near(path))
    connections = [one for file in sorted(files) for one in load_connections(file, kinds)]
    by_name(connections)
    return connections


def check_paths(paths: Sequence[Path], kinds: Kinds) -> tuple[list[Problem], int]:
    """All problems, those of connections included, and the number of flows. The rest of a file's directory is read
    as context."""
    wanted = _flow_paths(paths)
    context = {sibling for path in paths if path in wanted for sibling in _flow_files_near(path)} - set(wanted)
    connections = load_connection_paths(paths, kinds)
    collections = load_collections(paths, kinds)
    documents = _load([*wanted, *sorted(context)], connections, collections, kinds)
    named = {str(file) for file in wanted}
    chosen = [document for document in documents if document.file in named]
    found = [problem for document in chosen for problem in document.problems]
    found += [problem for connection in connections for problem in connection.problems]
    found += [problem for collection in collections for problem in collection.problems]
    found += [problem for path in paths if path.is_dir() for problem in scan(str(path)).problems()]
    return sorted(set(found)), len(chosen)


def _load(
    files: Sequence[Path], connections: Sequence[Connection], collections: Sequence[Collection], kinds: Kinds
) -> list[Document]:
    documents = [document for file in files for document in load_file(file, kinds)]
    cross_check(documents, kinds, by_name(connections), (one.name for one in collections))
    return documents


def _flow_paths(paths: Sequence[Path]) -> list[Path]:
    """The flow files of files and directories; a file of connections has none. Raises ValueError."""
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found.update(flow_files(path))
        elif not path.exists():
            raise ValueError(f"{shown(str(path))} does not exist")
        elif not is_text(str(path)):
            raise ValueError(f"{shown(str(path))}: the name of the file is not UTF-8; rename it")
        elif path.absolute().parent.name != FOLDER:
            found.add(path)
    return sorted(found)


def _flow_files_near(path: Path) -> list[Path]:
    try:
        return [file for file in flow_files(path.parent) if file != path]
    except ValueError:
        return []
