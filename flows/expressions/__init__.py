"""Expressions and templates, compiled to closures (`compile_expression`, `compile_template`)."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from flows.expressions.access import first_path, path_text, static_path
from flows.expressions.bounds import MAX_MADE, Budget, FirstBounds, limit, too_deep
from flows.expressions.compiler import Compiler, Evaluate
from flows.expressions.makers import MAKERS
from flows.expressions.messages import fault, hiding, show
from flows.expressions.source import ExpressionSyntax, parse
from flows.expressions.template import Rendered, compile_template
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import BOUNDS_NAME, Names
from reactor.contracts.text import clean, is_text

__all__ = [
    "Compiled",
    "ExpressionSyntax",
    "Rendered",
    "compile_expression",
    "compile_template",
]


CONTAINERS = frozenset({list, dict})


class Compiled:
    """One expression. Fulfils `reactor.contracts.plan.Expression`."""

    __slots__ = (
        "_evaluate", "_foreign", "_makes", "_secret", "alone", "begins", "columns", "file", "flow", "line", "lookup",
        "reads", "source",
    )  # fmt: skip

    def __init__(self, source: str, evaluate: Evaluate, compiler: Compiler, line: int, file: str) -> None:
        self.source = source
        self._evaluate = evaluate
        self._foreign = compiler.foreign
        self._makes = compiler.makes
        self.columns = compiler.reads
        self.reads = frozenset(compiler.reads)
        self._secret = any(path[0] == "secrets" for path in self.reads)
        tree = compiler.parsed.tree
        self.lookup = _lookup(compiler, tree)
        self.begins = first_path(compiler, tree)
        """The path that it begins with."""
        self.alone = bool(self.begins) and static_path(compiler, tree) == self.begins
        self.line = line
        self.file = file

    def evaluate(self, names: Names) -> Any:
        if self._secret and not hiding.get():
            token = hiding.set(True)
            try:
                return self.evaluate(names)
            finally:
                hiding.reset(token)
        budget = Budget() if names.get(BOUNDS_NAME) != 1 else FirstBounds()
        try:
            value = self._evaluate(names, budget)
            if self._makes and type(value) in CONTAINERS and budget.weigh(value) > MAX_MADE:
                raise limit("the value of the expression is more than 16 MiB of JSON")
            if self._foreign and not _is_text(value):
                raise fault(f"the value {show(value)} cannot be written as UTF-8: it holds half of a character")
            return value
        except StepFailed as error:
            raise self.located(error, names) from None
        except UnicodeEncodeError:
            raise self.located(
                fault("a value cannot be written as UTF-8: it holds half of a character"), names
            ) from None
        except RecursionError:
            raise too_deep() from None

    def located(self, error: StepFailed, names: Names) -> StepFailed:
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

    def values(self, names: Names) -> dict[str, Any]:
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
                    shown = show(value, 200)
                    found[path_text(path)] = clean(value) if len(shown) < 200 else shown
        return found


def compile_expression(source: str, line: int = 0, file: str = "") -> Compiled:
    """Compiles a bare expression. Raises ExpressionSyntax."""
    parsed = parse(source)
    compiler = Compiler(parsed, MAKERS)
    evaluate = compiler.compile(parsed.tree)
    return Compiled(source, evaluate, compiler, line, file)


def _is_text(value: Any) -> bool:
    """Whether all text in a value can be UTF-8."""
    if isinstance(value, str):
        return is_text(value)
    if isinstance(value, list):
        return all(map(_is_text, value))
    if isinstance(value, dict):
        return all(is_text(key) and _is_text(item) for key, item in value.items())
    return True


def _lookup(compiler: Compiler, tree: ast.expr) -> tuple[tuple[str, ...], Any] | None:
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Eq):
        for one, other in ((tree.left, tree.comparators[0]), (tree.comparators[0], tree.left)):
            if isinstance(other, ast.Constant) and isinstance(other.value, (str, int)):
                path = static_path(compiler, one)
                if path is not None and len(path) > 1:
                    value = other.value
                    return path, compiler.parsed.constant(value) if isinstance(value, str) else value
    return None
