"""Values that are computed when a run is there: bare expressions, and data with `${{ }}` inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from flows.expressions import Compiled, ExpressionSyntax, compile_expression
from flows.expressions.source import hyphen_hint
from flows.expressions.template import Rendered, compile_template
from flows.habits import plain_braces
from flows.nodes import Node
from flows.report import Report
from flows.uses import Uses
from flows.visible import FlowNames, SecretExists, Visible, read_problem
from reactor.contracts.plan import Expression, Names


class Literal:
    """Plain data in the place of an expression. Fulfils `reactor.contracts.plan.Expression`."""

    def __init__(self, value: Any, line: int) -> None:
        self.value = value
        self.line = line
        self.source = msgspec.json.encode(value).decode()
        self.reads: frozenset[tuple[str, ...]] = frozenset()
        self.lookup: tuple[tuple[str, ...], Any] | None = None

    def evaluate(self, names: Names) -> Any:
        return self.value

    def values(self, names: Names) -> dict[str, Any]:
        return {}


class _Templated:
    """Data with expressions inside, in the place of a bare expression (`foreach: ["${{ vars.a }}", b]`)."""

    def __init__(self, template: Rendered, node: Node) -> None:
        self.template = template
        self.line = node.line
        self.source = msgspec.json.encode(node.plain()).decode()
        self.reads = template.reads
        self.lookup: tuple[tuple[str, ...], Any] | None = None

    def evaluate(self, names: Names) -> Any:
        return self.template.render(names)


@dataclass(frozen=True, slots=True)
class Computed:
    """Reads computed values of one file, and checks the names in them."""

    report: Report
    names: FlowNames
    uses: Uses
    secret_exists: SecretExists | None = None

    def expression(self, node: Node, visible: Visible, what: str) -> Expression | None:
        """A logic key: a bare expression, `${{ x }}` around the whole, or plain data."""
        report = self.report
        if node.kind == "scalar" and node.value is None:
            report.problem(node, f"{what} is empty; write an expression")
            return None
        if node.kind != "scalar" or not isinstance(node.value, str):
            if "${{" in msgspec.json.encode(node.plain()).decode():
                return _Templated(self.template(node, visible), node)
            return Literal(node.plain(), node.line)
        source, offset = node.value, 0
        stripped = source.strip()
        if stripped.startswith("${{") and stripped.endswith("}}") and stripped.count("${{") == 1:
            offset = source.index("${{") + 3
            source = source[offset : source.rindex("}}")]
        elif stripped.startswith("{{") and stripped.endswith("}}"):
            inner = stripped[2:-2].strip()
            report.problem(node, f"{what} is an expression itself; write {inner} without {{{{ }}}}")
            return None
        elif "${{" in source:
            report.problem(node, f"{what} is an expression itself; leave out ${{{{ }}}}")
            return None
        return self._compile(source, node, offset, visible)

    def clauses(self, node: Node | None, visible: Visible, what: str) -> tuple[Expression, ...]:
        """One expression or a list of them."""
        if node is None:
            return ()
        parts = node.items if node.kind == "list" else [node]
        compiled = [self.expression(part, visible, what) for part in parts]
        return tuple(clause for clause in compiled if clause is not None)

    def template(self, node: Node, visible: Visible) -> Rendered:
        """A data value with `${{ }}` anywhere inside."""

        def part(source: str, path: tuple[str | int, ...], column: int) -> Compiled | None:
            return self._compile(source, node.at(path), column, visible)

        for scalar in scalars(node):
            found = plain_braces(scalar)
            if found is not None:
                text = f"{{{{ {found[0]} }}}} is plain text here; an expression is written ${{{{ {found[0]} }}}}"
                self.report.problem(scalar, text, "warning", found[1])
        try:
            return compile_template(node.plain(), part)
        except ValueError:
            self._unclosed(node)
            return Rendered(lambda names: None, [])

    def _unclosed(self, node: Node) -> None:
        for scalar in scalars(node):
            if isinstance(scalar.value, str) and "${{" in scalar.value:
                try:
                    compile_template(scalar.value, lambda *_: None)
                except ValueError as error:
                    self.report.problem(
                        scalar,
                        "${{ is never closed by }} (a blank and # begin a comment in YAML: quote the whole value)",
                        offset=int(error.args[0]),
                    )

    def _compile(self, source: str, node: Node, offset: int, visible: Visible) -> Compiled | None:
        try:
            compiled = compile_expression(source, node.line, self.report.file)
        except ExpressionSyntax as error:
            caret = f"\n    {source.strip()}" if "\n" not in source.strip() else ""
            self.report.problem(node, f"{error}{caret}", offset=offset + error.column)
            return None
        columns: Mapping[tuple[str, ...], tuple[int, bool]] = compiled.columns
        for path, (column, guarded) in sorted(columns.items(), key=lambda item: item[1][0]):
            message = read_problem(path, guarded, visible, self.names, self.uses, self.secret_exists)
            if message:
                hint = hyphen_hint(compiled.source, path[-1])
                self.report.problem(node, message + hint, offset=offset + column)
        return compiled


def scalars(node: Node) -> Iterable[Node]:
    """All values of a document that are neither maps nor lists."""
    if node.kind == "map":
        for _, value in node.entries.values():
            yield from scalars(value)
    elif node.kind == "list":
        for item in node.items:
            yield from scalars(item)
    else:
        yield node
