"""Where a path may point (rule 11): under the folder that the author wrote in front of the first expression."""

from __future__ import annotations

import os
from pathlib import Path

from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed


def resolve(context: ActionContext, option: str, value: str) -> Path:
    """The absolute path for an option's value. What an expression added must stay under the literal root, and no link
    below that root is followed. Raises StepFailed of type `file.path`."""
    if not value or "\0" in value:
        raise _refused(f"{option} is no path")
    literal = context.literals.get(option)
    path = _absolute(context, value)
    if literal is None:
        return path
    if literal:
        author = _absolute(context, literal)
        root = author if literal.endswith("/") or (author.is_dir() and value == literal) else author.parent
        if value == literal:
            return path
    else:
        declared = getattr(context.settings, "file_root", None)
        if declared is None:
            raise _refused(
                f"{option} is all expression, so it needs a declared root: start the daemon with --file-root DIR"
            )
        root = Path(declared).absolute()
    normal = Path(os.path.normpath(path))
    root = Path(os.path.normpath(root))
    if normal != root and root not in normal.parents:
        raise _refused(f"{option} leaves {root}")
    _no_links(root, normal)
    return normal


def _absolute(context: ActionContext, value: str) -> Path:
    base = Path(context.folder) if context.folder else Path.cwd()
    return (base / value).absolute()


def _no_links(root: Path, path: Path) -> None:
    current = root
    for part in path.relative_to(root).parts:
        current = current / part
        if current.is_symlink():
            raise _refused(f"{current} is a link; links are not followed below {root}")


def _refused(message: str) -> StepFailed:
    return StepFailed("file.path", message, retryable=False)
