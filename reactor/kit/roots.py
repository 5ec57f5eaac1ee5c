"""Where a path may point: one rule for the flow that is loaded, the step that runs, and the file that is opened.

The root of a path is the folder that its author wrote in front of the first expression, and what the expressions add
stays below it. A path that begins with an expression has no root of its own, but for two that have one:

- `event.path` of a file that a trigger found: the folder that the trigger watches;
- `event.files…` of an HTTP request, in an option that is only read: the folder of uploaded files.

Any other needs the root that the operator declares (`--file-root`). What a path begins with is known from the parsed
expression; how it was spelled does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from reactor.contracts.errors import StepFailed
from reactor.contracts.event import Event
from reactor.contracts.names import name_of, text_of
from reactor.contracts.plan import Front

FOUND = ("event", "path")
UPLOADED = ("event", "files")


def needs_root(front: Front | None, reading: bool, file_root: str | None) -> bool:
    """Whether nothing says where a path may point, as far as the flow alone shows. `front` is None for a path without
    expressions; `reading`: the option is only read."""
    if front is None or front.text or file_root is not None:
        return False
    if front.begins == FOUND and front.alone:
        return False
    return not (reading and front.begins[: len(UPLOADED)] == UPLOADED)


def roots(
    fronts: Mapping[str, Front], event: Event, reading: Collection[str], payloads: str | None
) -> dict[str, str]:  # fmt: skip
    """For each place with an expression: what stands in front of it, as if the author had written it. Empty: nothing
    does. `reading` are the options that are only read; `payloads` is the folder of uploaded files."""
    return {place: front.text or _given(place, front, event, reading, payloads) for place, front in fronts.items()}


def _given(place: str, front: Front, event: Event, reading: Collection[str], payloads: str | None) -> str:
    if front.begins[: len(FOUND)] == FOUND and event.type.startswith("file."):
        return _watched(event)
    if front.begins[: len(UPLOADED)] == UPLOADED and event.type == "http.request" and payloads is not None:
        return f"{payloads}/" if _option(place) in reading else ""
    return ""


def _watched(event: Event) -> str:
    """The folder that the trigger watches: `event.path` is opened below it without following links."""
    path, folder = str(event.fields.get("path", "")), event.source.rstrip("/") + "/"
    return folder if path.startswith(folder) else path


def _option(place: str) -> str:
    """The option of a place: `attach.0.path` is of `attach.path`."""
    return ".".join(part for part in place.split(".") if not part.isdigit())


def root_of(literals: Mapping[str, str], place: str) -> str | None:
    """What `roots` says of a place. A value inside of one that is all expression is all expression too."""
    found = literals.get(place)
    while found is None and "." in place:
        place = place.rpartition(".")[0]
        found = "" if place in literals else None
    return found


class Pointed(NamedTuple):
    """A path, absolute. `parts` are below `root` and lead nowhere else; without any, the author wrote all of it."""

    root: str
    parts: tuple[str, ...] = ()


def pointed(option: str, value: str, root: str | None, folder: str, file_root: str | None) -> Pointed:
    """Where the value of an option points. `root` is what `roots` says of it, None for a value without expressions;
    relative paths start at `folder`. Raises StepFailed of type `file.path`."""
    try:
        path = _absolute(folder, name_of(value))
        front = None if root is None else name_of(root)
    except ValueError as error:
        raise refused(f"{option}: {error}") from None
    if not value or "\0" in value:
        raise refused(f"{option} is empty or has a zero byte")
    if front is None or (front and value == root):
        return Pointed(str(path))
    if front:
        author = _absolute(folder, front)
        return _below(author if front.endswith("/") else author.parent, path, option)
    if file_root is None:
        raise refused(f"{option} is all expression, so it needs a declared root: start the daemon with --file-root DIR")
    return _below(Path(file_root).absolute(), path, option)


def _below(root: Path, path: Path, option: str) -> Pointed:
    """The path below its root. `..` in what was added goes back in the text; the root itself stays as it was written,
    because `..` in it may follow a link."""
    rest = os.path.normpath(path.relative_to(root)) if path.is_relative_to(root) else ".."
    if rest.split("/")[0] == "..":
        root = Path(os.path.normpath(root))
        rest = os.path.relpath(os.path.normpath(path), root)
    if rest.split("/")[0] == "..":
        raise refused(f"{option} leaves {text_of(str(root))}")
    return Pointed(str(root)) if rest == "." else Pointed(str(root), tuple(rest.split("/")))


def _absolute(folder: str, value: str) -> Path:
    return ((Path(folder) if folder else Path.cwd()) / value).absolute()


def refused(message: str) -> StepFailed:
    return StepFailed("file.path", message, retryable=False)
