"""Where a path may point (rule 11): under the folder that the author wrote in front of the first expression."""

from __future__ import annotations

import os
from pathlib import Path

from plugins.actions._place import Place, refused
from reactor.contracts.action import ActionContext
from reactor.contracts.names import name_of, text_of


def locate(context: ActionContext, option: str, value: str) -> Place:
    """The file or folder that an option's value names. What an expression added must stay under the literal root, and
    no link below that root is followed when the place is opened. Raises StepFailed of type `file.path`."""
    literal = context.literals.get(option)
    try:
        path = _absolute(context, name_of(value))
        front = None if literal is None else name_of(literal)
    except ValueError as error:
        raise refused(f"{option}: {error}") from None
    if not value or "\0" in value:
        raise refused(f"{option} is empty or has a zero byte")
    if front is None or (front and value == literal):
        return _of_author(path)
    if front:
        author = _absolute(context, front)
        root = author if front.endswith("/") else author.parent
    else:
        declared = context.settings.file_root
        if declared is None:
            raise refused(
                f"{option} is all expression, so it needs a declared root: start the daemon with --file-root DIR"
            )
        root = Path(declared).absolute()
    return _below(root, path, option)


def _below(root: Path, path: Path, option: str) -> Place:
    """The path below its root. `..` in what was added goes back in the text; the root itself stays as it was written,
    because `..` in it may follow a link."""
    rest = os.path.normpath(path.relative_to(root)) if path.is_relative_to(root) else ".."
    if rest.split("/")[0] == "..":
        root = Path(os.path.normpath(root))
        rest = os.path.relpath(os.path.normpath(path), root)
    if rest.split("/")[0] == "..":
        raise refused(f"{option} leaves {text_of(str(root))}")
    return _of_author(root) if rest == "." else Place(str(root), tuple(rest.split("/")))


def resolve(context: ActionContext, option: str, value: str) -> Path:
    """The path alone, for what programs open."""
    return locate(context, option, value).path


def _of_author(path: Path) -> Place:
    """What the author wrote as a whole is opened as the system does, links included."""
    if not path.name or path.name == "..":
        return Place(str(path), (".",), follow=True)
    return Place(str(path.parent), (path.name,), follow=True)


def _absolute(context: ActionContext, value: str) -> Path:
    base = Path(context.folder) if context.folder else Path.cwd()
    return (base / value).absolute()
