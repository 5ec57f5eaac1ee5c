"""The problems of one file, and how plain values are read: what does not fit is reported with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from flows.habits import habit
from flows.nodes import Node
from flows.problems import Problem, suggest
from reactor.kit.durations import DurationError, parse_duration


class Report:
    """What was found in a file. Readers of a value give None, or the default, after they reported it."""

    __slots__ = ("file", "problems")

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    @property
    def failed(self) -> bool:
        """Whether there is an error, not only warnings."""
        return any(problem.severity == "error" for problem in self.problems)

    def problem(self, node: Node, message: str, severity: str = "error", offset: int | None = None) -> None:
        """Reports what is wrong at a node, or at a character of its text."""
        line, column = (node.line, node.column) if offset is None else node.place(offset)
        self.problems.append(Problem(self.file, line, column, message, severity))

    def unknown(
        self,
        node: Node,
        known: Iterable[str],
        what: str,
        later: Mapping[str, str] | None = None,
        habits: Mapping[str, str] | None = None,
    ) -> None:
        """Reports the keys of a map that are not known; `later` are words that this version does not have, `habits`
        those of other tools."""
        names = list(known)
        for key, (key_node, _) in node.entries.items():
            if key in names:
                continue
            if later and key in later:
                self.problem(key_node, f"`{key}` {later[key]}")
            else:
                word = habit(habits or {}, key)
                hint = f"; {word}" if word else suggest(key, names)
                self.problem(key_node, f"{what} has no key {key}{hint}")

    def expect(self, node: Node | None, kind: str, what: str) -> bool:
        """Whether a node is a map or list; reports it when it is something else."""
        if node is None:
            return False
        if node.kind != kind:
            self.problem(node, f"{what} is a {kind}, not {describe(node)}")
            return False
        return True

    def text(self, node: Node | None, what: str) -> str | None:
        """A text that is not empty."""
        if node is None:
            return None
        if node.kind != "scalar" or not isinstance(node.value, str) or not node.value:
            self.problem(node, f"{what} is a text, not {describe(node)}")
            return None
        return node.value

    def whole(self, node: Node | None, what: str, least: int, most: int, default: int) -> int:
        """A whole number within bounds."""
        if node is None:
            return default
        value = node.value if node.kind == "scalar" else None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problem(node, f"{what} is a whole number from {least:,} to {most:,}, not {describe(node)}")
            return default
        return value

    def choice(self, node: Node | None, what: str, words: tuple[str, ...], default: str) -> str:
        """One of several words."""
        if node is None:
            return default
        if node.kind != "scalar" or node.value not in words:
            self.problem(node, f"{what} is one of {', '.join(words)}, not {describe(node)}{suggest(node.value, words)}")
            return default
        return str(node.value)

    def duration(self, node: Node | None, what: str) -> float | None:
        """A duration in seconds; a bare number is seconds."""
        if node is None:
            return None
        if node.kind == "scalar" and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            if node.value >= 0:
                return float(node.value)
        elif node.kind == "scalar" and isinstance(node.value, str):
            try:
                return parse_duration(node.value)
            except DurationError as error:
                self.problem(node, f"{what}: {error}")
                return None
        self.problem(node, f"{what} is a duration such as 10s, not {describe(node)}")
        return None


def describe(node: Node) -> str:
    """A node as messages name it."""
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "nothing"
    text = msgspec.json.encode(node.value).decode()
    return text if len(text) <= 60 else text[:59] + "…"
