"""`reactor check`: all problems of files and directories, without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from flows.collections import FOLDER as COLLECTIONS
from flows.collections import Collection, named_once, read_collections
from flows.connections import FOLDER, MAX_LEVELS, Connection, by_name, load_connections
from flows.context import Kinds
from flows.definitions import definition_files, files_under
from flows.loader import Document, cross_check, flow_files, load_file
from flows.problems import Problem
from flows.tree import scan
from reactor.contracts.text import is_text, shown


def load_paths(paths: Sequence[Path], kinds: Kinds, directories: Sequence[Path] = ()) -> list[Document]:
    """The flows of files and directories, checked each and together. `directories` are those that the daemon is given.
    Raises ValueError for a path without flows."""
    documents = _load(paths, kinds, directories)[0]
    named = {str(file) for file in _flow_paths(paths)}
    return [document for document in documents if document.file in named]


def load_connection_paths(paths: Sequence[Path], kinds: Kinds, directories: Sequence[Path] = ()) -> list[Connection]:
    """The connections that belong to files and directories of flows: those of their flows directory."""
    files = _once(file for path in paths for file in _definitions(path, FOLDER, directories))
    connections = [one for file in files for one in load_connections(file, kinds)]
    by_name(connections)
    return connections


def flows_directory(path: Path, directories: Sequence[Path] = ()) -> Path:
    """The flows directory that a file or directory of flows belongs to: the one above it that the daemon is given, or
    that is called `flows`, or the highest with connections or collections; else its own."""
    inside = path.absolute() if path.is_dir() else path.absolute().parent
    if inside.name in (FOLDER, COLLECTIONS):
        inside = inside.parent
    above = [inside, *inside.parents][:MAX_LEVELS]
    given = {directory.absolute() for directory in directories}
    for fits in (lambda one: one in given, lambda one: one.name == "flows"):
        found = next((one for one in above if fits(one)), None)
        if found is not None and not (found / "__init__.py").exists():
            return found
    holding = [one for one in above if any((one / folder).is_dir() for folder in (FOLDER, COLLECTIONS))]
    return holding[-1] if holding else inside


def _definitions(path: Path, folder: str, directories: Sequence[Path]) -> list[Path]:
    """The files of all folders of that name in the flows directory of a path, and beside the folders above it."""
    inside = path.absolute() if path.is_dir() else path.absolute().parent
    spelled = definition_files(path, folder) if path.is_dir() else []
    found = dict.fromkeys(definition_files(flows_directory(path, directories), folder))
    for parent in [inside, *inside.parents][:MAX_LEVELS]:
        if (parent / folder).is_dir():
            found.update(dict.fromkeys(file for file in files_under(parent / folder) if file.parent.name == folder))
    known = {file.absolute() for file in spelled}
    return sorted([*spelled, *(file for file in found if file not in known)])


def check_paths(paths: Sequence[Path], kinds: Kinds, directories: Sequence[Path] = ()) -> tuple[list[Problem], int]:
    """All problems, those of connections included, and the number of flows. The rest of their flows directory is read
    as context: its problems are not told."""
    documents, connections, collections = _load(paths, kinds, directories)
    named = {str(file) for file in _flow_paths(paths)}
    chosen = [document for document in documents if document.file in named]
    found = [problem for document in chosen for problem in document.problems]
    used = {value for document in chosen for value, _, _ in document.uses.connections}
    used |= {value for document in chosen for value, _ in document.uses.collections}
    defined = [(one.name, one.file, one.problems) for one in connections]
    defined += [(one.name, one.file, one.problems) for one in collections]
    for name, file, problems in defined:
        if name in used or any(_belongs(Path(file), path) for path in paths):
            found += problems
    found += [problem for path in paths if path.is_dir() for problem in scan(str(path)).problems()]
    return sorted(set(found)), len(chosen)


def _once(files: Iterable[Path]) -> list[Path]:
    """Each file once, however it is spelled, in order."""
    found: dict[Path, Path] = {}
    for file in files:
        found.setdefault(file.absolute(), file)
    return sorted(found.values())


def _belongs(file: Path, path: Path) -> bool:
    """Whether a file of definitions is the path, or under it."""
    return file.absolute().is_relative_to(path.absolute())


def _load(
    paths: Sequence[Path], kinds: Kinds, directories: Sequence[Path]
) -> tuple[list[Document], list[Connection], list[Collection]]:
    wanted = _flow_paths(paths)
    known = {file.absolute() for file in wanted}
    near = {file for path in paths for file in _flow_files_near(flows_directory(path, directories))}
    context = sorted(file for file in near if file.absolute() not in known)
    connections = load_connection_paths(paths, kinds, directories)
    files = _once(file for path in paths for file in _definitions(path, COLLECTIONS, directories))
    collections = named_once([one for file in files for one in read_collections(file, kinds)])
    documents = [document for file in (*wanted, *context) for document in load_file(file, kinds)]
    cross_check(documents, kinds, by_name(connections), (one.name for one in collections))
    return documents, connections, collections


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


def _flow_files_near(directory: Path) -> list[Path]:
    try:
        return flow_files(directory)
    except ValueError:
        return []
