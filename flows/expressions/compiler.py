"""From a syntax tree to closures: what the makers of all nodes share."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from flows.expressions.bounds import Budget
from flows.expressions.source import ExpressionSyntax, Parsed
from reactor.contracts.plan import Names

Evaluate = Callable[[Names, Budget], Any]
Maker = Callable[["Compiler", Any], Evaluate]
"""Makes the closure of one node of the tree."""
LITERAL_NAMES: dict[str, bool | None] = {"null": None, "true": True, "false": False}
FOREIGN = ("env", "secrets")
"""Names whose values come from the operating system, where text may be any bytes."""


class Compiler:
    """Compiles one expression and notes what it reads."""

    def __init__(self, parsed: Parsed, makers: Mapping[type[ast.expr], Maker]) -> None:
        self.parsed = parsed
        self._makers = makers
        self.reads: dict[tuple[str, ...], tuple[int, bool]] = {}
        """Path read → (column, whether it stands in `default` or `has`)."""
        self.locals: list[set[str]] = []
        self.guarded = False
        self.parts = 0
        """Closures made so far; what a turn of a comprehension costs is the number of those in it."""
        self.foreign = False
        """Whether a value may hold text that is not UTF-8: a constant does, or it reads `env` or `secrets`."""
        self.makes = False
        """Whether it may make a list or an object."""

    def compile(self, node: ast.expr) -> Evaluate:
        self.parts += 1
        maker = self._makers.get(type(node))
        if maker is None:
            raise self.error(node, f"{_describe(node)} is not part of the expression language")
        return maker(self, node)

    def error(self, node: ast.AST, message: str) -> ExpressionSyntax:
        return ExpressionSyntax(message, self.parsed.column(node))

    def note(self, path: tuple[str, ...], node: ast.AST) -> None:
        if not any(path[0] in names for names in self.locals):
            self.foreign = self.foreign or path[0] in FOREIGN
            known = self.reads.get(path)
            if known is None or (known[1] and not self.guarded):
                self.reads[path] = (self.parsed.column(node), self.guarded)


def _describe(node: ast.AST) -> str:
    names = {
        "Lambda": "lambda", "Await": "await", "NamedExpr": ":=", "Starred": "*", "Yield": "yield",
        "YieldFrom": "yield", "SetComp": "a set", "Set": "a set", "GeneratorExp": "a generator; use [ … ]",
        "Tuple": "a tuple; use [ … ]",
    }  # fmt: skip
    return names.get(type(node).__name__, type(node).__name__)
