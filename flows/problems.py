"""What a check finds, with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec


class Problem(msgspec.Struct, frozen=True, order=True):
    """One finding. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        word = "" if self.severity == "error" else "warning: "
        return f"{self.file}:{self.line}:{self.column}: {word}{self.message}"


def suggest(word: object, known: Iterable[str]) -> str:
    """` (did you mean …?)` for the nearest known word, else what there is."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(word), names, 1, 0.6)
    if near:
        return f" (did you mean {near[0]}?)"
    if names and len(names) <= 12:
        return f"; there is {', '.join(names)}" if len(names) == 1 else f"; there are {', '.join(names)}"
    return ""
