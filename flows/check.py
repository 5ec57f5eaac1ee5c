"""`reactor check`: all problems of files and directories, without starting anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.context import Kinds
from flows.loader import Document, cross_check, flow_files, load_file
from flows.problems import Problem


def load_paths(paths: Sequence[Path], kinds: Kinds) -> list[Document]:
    """The flows of files and directories, checked each and together. Raises ValueError for a path without flows."""
    documents: list[Document] = []
    for path in paths:
        if path.is_dir():
            files = flow_files(path)
        elif path.exists():
            files = [path]
        else:
            raise ValueError(f"{path} does not exist")
        for file in files:
            documents.extend(load_file(file, kinds))
    cross_check(documents, kinds)
    return documents


def check_paths(paths: Sequence[Path], kinds: Kinds) -> tuple[list[Problem], int]:
    """All problems, and the number of flows. The rest of a file's directory is read as context."""
    wanted = {file for path in paths for file in ([path] if not path.is_dir() else flow_files(path))}
    context = {sibling for path in paths if path.is_file() for sibling in flow_files_near(path)} - wanted
    documents = load_paths([*sorted(wanted), *sorted(context)] if wanted else list(paths), kinds)
    named = {str(file) for file in wanted}
    chosen = [document for document in documents if document.file in named]
    return sorted(problem for document in chosen for problem in document.problems), len(chosen)


def flow_files_near(path: Path) -> list[Path]:
    try:
        return [file for file in flow_files(path.parent) if file != path]
    except ValueError:
        return []
