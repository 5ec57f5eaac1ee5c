"""Expressions and templates, compiled to closures (`compile_expression`, `compile_template`)."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from flows.expressions.access import Evaluate, path_text, static_path
from flows.expressions.compiler import Compiler
from flows.expressions.source import ExpressionSyntax, parse
from flows.expressions.template import Rendered, compile_template
from flows.expressions.values import MAX_STEPS, Budget, show
from reactor.contracts.errors import StepFailed

__all__ = [
    "Compiled",
    "ExpressionSyntax",
    "Rendered",
    "compile_expression",
    "compile_template",
    "set_max_steps",
]

_limits = {"steps": MAX_STEPS}


def set_max_steps(steps: int) -> None:
    """Raises (or lowers) the steps of one evaluation, as the configuration says."""
    _limits["steps"] = steps


class Compiled:
    """One expression. Fulfils `reactor.contracts.plan.Expression`."""

    __slots__ = ("_evaluate", "columns", "file", "flow", "line", "lookup", "reads", "source")

    def __init__(
        self,
        source: str,
        evaluate: Evaluate,
        columns: dict[tuple[str, ...], tuple[int, bool]],
        lookup: tuple[tuple[str, ...], Any] | None,
        line: int,
        file: str,
    ) -> None:
        self.source = source
        self._evaluate = evaluate
        self.columns = columns
        self.reads = frozenset(columns)
        self.lookup = lookup
        self.line = line
        self.file = file

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        try:
            return self._evaluate(names, Budget(_limits["steps"]))
        except StepFailed as error:
            raise self.located(error, names) from None
        except RecursionError:
            raise StepFailed("limit", "the value is nested too deeply") from None

    def located(self, error: StepFailed, names: Mapping[str, Any]) -> StepFailed:
        """The same error with the place, the source and the values of the names in it."""
        if "expression" not in error.details:
            error.details = {
                **error.details,
                "expression": self.source,
                "file": self.file,
                "line": self.line,
                "names": self.values(names),
            }
        return error

    def values(self, names: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each path it reads, for messages and `why`; missing ones are left out."""
        found: dict[str, Any] = {}
        for path in sorted(self.reads):
            value: Any = names
            for key in path:
                if not isinstance(value, Mapping) or key not in value:
                    break
                value = value[key]
            else:
                if path[0] != "secrets":
                    found[path_text(path)] = value if len(show(value, 200)) < 200 else show(value, 200)
        return found


def compile_expression(source: str, line: int = 0, file: str = "") -> Compiled:
    """Compiles a bare expression. Raises ExpressionSyntax."""
    parsed = parse(source)
    compiler = Compiler(parsed)
    evaluate = compiler.compile(parsed.tree)
    return Compiled(source, evaluate, compiler.reads, _lookup(compiler, parsed.tree), line, file)


def _lookup(compiler: Compiler, tree: ast.expr) -> tuple[tuple[str, ...], Any] | None:
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Eq):
        for one, other in ((tree.left, tree.comparators[0]), (tree.comparators[0], tree.left)):
            if isinstance(other, ast.Constant) and isinstance(other.value, (str, int)):
                path = static_path(compiler, one)
                if path is not None and len(path) > 1:
                    value = other.value
                    return path, compiler.parsed.constant(value) if isinstance(value, str) else value
    return None
