"""The files that options name, by the rule of `reactor.kit.roots`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from plugins.actions._place import Place
from reactor.contracts.action import ActionContext
from reactor.kit.roots import pointed, root_of


class OnePath(Protocol):
    """Options with a file."""

    @property
    def path(self) -> str: ...


class TwoPaths(OnePath, Protocol):
    """Options with a file, and another that is written."""

    @property
    def to(self) -> str: ...


def locate(context: ActionContext, option: str, value: str) -> Place:
    """The file or folder that an option's value names. What an expression added stays under its root, and no link below
    that root is followed when the place is opened. Raises StepFailed of type `file.path`."""
    found = pointed(option, value, root_of(context.literals, option), context.folder, context.settings.file_root)
    return Place(found.root, found.parts) if found.parts else _of_author(Path(found.root))


def resolve(context: ActionContext, option: str, value: str) -> Path:
    """The path alone, for what programs open."""
    return locate(context, option, value).path


def _of_author(path: Path) -> Place:
    """What the author wrote as a whole is opened as the system does, links included."""
    if not path.name or path.name == "..":
        return Place(str(path), (".",), follow=True)
    return Place(str(path.parent), (path.name,), follow=True)
