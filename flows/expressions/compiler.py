"""From a syntax tree to closures, one maker for each node type of a closed list. A node or operator that is not in
the list does not compile; the tree never goes back to Python."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flows.expressions import hints, values
from flows.expressions.access import LITERAL_NAMES, Evaluate, access
from flows.expressions.bounds import CHARACTERS, ELEMENT, ENTRY, MAX_SIZE, VALUE, Budget, limit
from flows.expressions.comprehension import comprehension
from flows.expressions.functions import FUNCTIONS, METHODS
from flows.expressions.source import ExpressionSyntax, Parsed
from flows.expressions.values import fault, sized, told
from reactor.contracts.errors import StepFailed
from reactor.contracts.text import is_text

BINARY: dict[type[ast.operator], Callable[[Any, Any, Budget], Any]] = {
    ast.Add: values.add,
    ast.Sub: values.subtract,
    ast.Mult: values.multiply,
    ast.Div: values.divide,
    ast.FloorDiv: values.floor_divide,
    ast.Mod: values.modulo,
    ast.Pow: values.power,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: values.negative,
    ast.UAdd: values.positive,
    ast.Not: lambda value: not value,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any, Budget], bool]] = {
    ast.Eq: values.equal,
    ast.NotEq: values.unequal,
    ast.Lt: values.less,
    ast.LtE: values.less_equal,
    ast.Gt: values.greater,
    ast.GtE: values.greater_equal,
    ast.In: values.contains,
    ast.NotIn: values.excludes,
    ast.Is: lambda left, right, budget: left is right,
    ast.IsNot: lambda left, right, budget: left is not right,
}
GUARDS = ("default", "has")
FOREIGN = ("env", "secrets")
"""Names whose values come from the operating system, where text may be any bytes."""
MISS = 8
"""Steps of an absent path in `default` and `has`: an error that is caught."""
MADE = 6
"""Steps of a list or an object that a function makes."""
NOTHING: dict[str, Any] = {}
TEXT = 3
"""Steps of an f-string."""


class Compiler:
    """Compiles one expression and notes what it reads."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
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
        maker = MAKERS.get(type(node))
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


def _constant(compiler: Compiler, node: ast.Constant) -> Evaluate:
    value = node.value
    if not (value is None or isinstance(value, (bool, int, float, str))):
        raise compiler.error(node, f"a {type(value).__name__} is not part of the expression language")
    if isinstance(value, str):
        value = compiler.parsed.constant(value)
        compiler.foreign = compiler.foreign or not is_text(value)
    elif isinstance(value, float):
        try:
            values.number(value)
        except StepFailed as error:
            raise compiler.error(node, str(error)) from None
    return lambda names, budget: value


def _name(compiler: Compiler, node: ast.Name) -> Evaluate:
    name = node.id
    if name in LITERAL_NAMES:
        value = LITERAL_NAMES[name]
        return lambda names, budget: value
    if "__" in name:
        raise compiler.error(node, f"no such name {name}")
    compiler.note((name,), node)

    def read(names: Mapping[str, Any], budget: Budget) -> Any:
        try:
            return names[name]
        except KeyError:
            raise StepFailed("missing", f"missing {name}", details={"path": name}) from None

    return read


def _binary(compiler: Compiler, node: ast.BinOp) -> Evaluate:
    operate = BINARY.get(type(node.op))
    if operate is None:
        raise _no_operator(compiler, node)
    left, right = compiler.compile(node.left), compiler.compile(node.right)
    compiler.makes = compiler.makes or isinstance(node.op, ast.Add)
    return lambda names, budget: operate(left(names, budget), right(names, budget), budget)


def _no_operator(compiler: Compiler, node: ast.BinOp | ast.UnaryOp) -> ExpressionSyntax:
    name = type(node.op).__name__
    hint = hints.OPERATORS.get(name)
    return compiler.error(
        node, f"the operator {name} is not part of the expression language" + (f"; {hint}" if hint else "")
    )


def _unary(compiler: Compiler, node: ast.UnaryOp) -> Evaluate:
    operate = UNARY.get(type(node.op))
    if operate is None:
        raise _no_operator(compiler, node)
    operand = compiler.compile(node.operand)
    return lambda names, budget: operate(operand(names, budget))


def _boolean(compiler: Compiler, node: ast.BoolOp) -> Evaluate:
    parts = [compiler.compile(part) for part in node.values]
    stop_at = isinstance(node.op, ast.Or)
    rest, last = parts[:-1], parts[-1]

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        for part in rest:
            value = part(names, budget)
            if bool(value) is stop_at:
                return value
        return last(names, budget)

    return evaluate


def _compare(compiler: Compiler, node: ast.Compare) -> Evaluate:
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, (ast.Is, ast.IsNot)) and not _is_null(right):
            raise compiler.error(right, "`is` compares with None only; use ==")
        if type(operator) not in COMPARE:
            raise compiler.error(node, f"{type(operator).__name__} is not part of the expression language")
    first = compiler.compile(node.left)
    rest = [
        (COMPARE[type(operator)], compiler.compile(right))
        for operator, right in zip(node.ops, node.comparators, strict=True)
    ]
    if len(rest) == 1:
        operate, second = rest[0]
        return lambda names, budget: operate(first(names, budget), second(names, budget), budget)

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        left = first(names, budget)
        for operate, part in rest:
            right = part(names, budget)
            if not operate(left, right, budget):
                return False
            left = right
        return True

    return evaluate


def _is_null(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or (isinstance(node, ast.Name) and node.id == "null")


def _if(compiler: Compiler, node: ast.IfExp) -> Evaluate:
    test, body, other = (compiler.compile(part) for part in (node.test, node.body, node.orelse))
    return lambda names, budget: body(names, budget) if test(names, budget) else other(names, budget)


def _list(compiler: Compiler, node: ast.List) -> Evaluate:
    parts = [compiler.compile(part) for part in node.elts]
    size = VALUE + ELEMENT * len(parts)
    compiler.makes = True

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        result = [part(names, budget) for part in parts]
        budget.make(size)
        budget.keep(result)
        return result

    return evaluate


def _dict(compiler: Compiler, node: ast.Dict) -> Evaluate:
    pairs = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise compiler.error(node, "** is not part of the expression language; use merge(a, b)")
        pairs.append((compiler.compile(key), compiler.compile(value)))
    size = VALUE + ENTRY * len(pairs)
    compiler.makes = True

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        result = {}
        for key, value in pairs:
            name = key(names, budget)
            if not isinstance(name, str):
                raise fault(f"the key of an object is a string, not {told(name)}")
            result[name] = value(names, budget)
        budget.make(size)
        budget.keep(result)
        return result

    return evaluate


def _joined(compiler: Compiler, node: ast.JoinedStr) -> Evaluate:
    parts: list[Evaluate] = []
    compiler.parts += TEXT
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec is not None:
                raise compiler.error(node, "an f-string here has no ! and no format; use fixed(x, 2) and the like")
            parts.append(compiler.compile(part.value))
        else:
            parts.append(compiler.compile(part))

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        texts = []
        length = 0
        for part in parts:
            piece = values.text(part(names, budget), budget)
            texts.append(piece)
            length += len(piece)
            if length > MAX_SIZE:
                raise limit("the expression makes a string of more than 1 MiB")
        budget.charge(length // CHARACTERS)
        return budget.made("".join(texts))

    return evaluate


def _call(compiler: Compiler, node: ast.Call) -> Evaluate:
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise compiler.error(argument, "* is not part of the expression language")
    if isinstance(node.func, ast.Attribute):
        name = compiler.parsed.name(node.func.attr)
        function = METHODS.get(name)
        if function is None:
            hint = _hint(name, hints.METHODS, METHODS, ".{}()")
            raise compiler.error(node, f"no such method .{name}(){hint}")
        arguments = [compiler.compile(node.func.value), *(compiler.compile(part) for part in node.args)]
    elif isinstance(node.func, ast.Name):
        name = node.func.id
        if name in GUARDS:
            return _guard(compiler, node, name)
        function = FUNCTIONS.get(name)
        if function is None:
            hint = _hint(name, hints.FUNCTIONS, [*FUNCTIONS, *GUARDS], "{}")
            raise compiler.error(node, f"no such function {name}(){hint}")
        arguments = [compiler.compile(part) for part in node.args]
    else:
        raise compiler.error(node, "only functions and methods of the table can be called")
    named: dict[str, Evaluate] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise compiler.error(node, "** is not part of the expression language")
        named[keyword.arg] = compiler.compile(keyword.value)
    problem = function.fits(len(arguments), list(named))
    if problem:
        raise compiler.error(node, problem)
    perform, steps, weight = function.perform, function.steps, function.weight
    compiler.makes = True

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        given = [argument(names, budget) for argument in arguments]
        extra = {key: value(names, budget) for key, value in named.items()} if named else NOTHING
        work = steps
        if weight:
            for value in given:
                if type(value) is str:
                    work += len(value) * weight // CHARACTERS
            for value in extra.values():
                if type(value) is str:
                    work += len(value) * weight // CHARACTERS
        budget.charge(work)
        result = sized(perform(budget, *given, **extra))
        kind = type(result)
        if kind is str:
            return budget.made(result)
        if kind is list or kind is dict:
            budget.charge(MADE)
            budget.make(VALUE + len(result) * (ELEMENT if kind is list else ENTRY))
            budget.keep(result)
        return result

    return evaluate


def _hint(name: str, known: Mapping[str, str], names: Iterable[str], form: str) -> str:
    if name in known:
        return f": {known[name]}"
    near = difflib.get_close_matches(name, list(names), 1)
    return f" (did you mean {form.format(near[0])}?)" if near else ""


def _guard(compiler: Compiler, node: ast.Call, name: str) -> Evaluate:
    count = 2 if name == "default" else 1
    if len(node.args) != count or node.keywords:
        raise compiler.error(node, f"{name} takes {count} argument{'s' if count > 1 else ''}")
    if not isinstance(node.args[0], (ast.Name, ast.Attribute, ast.Subscript)):
        raise compiler.error(node, f"{name}(…) needs a path such as event.data.x as its first argument")
    outer, compiler.guarded = compiler.guarded, True
    path = compiler.compile(node.args[0])
    compiler.guarded = outer
    if name == "has":

        def has(names: Mapping[str, Any], budget: Budget) -> Any:
            try:
                path(names, budget)
            except StepFailed as error:
                if error.type != "missing":
                    raise
                budget.charge(MISS)
                return False
            return True

        return has
    other = compiler.compile(node.args[1])

    def default(names: Mapping[str, Any], budget: Budget) -> Any:
        try:
            return path(names, budget)
        except StepFailed as error:
            if error.type != "missing":
                raise
            budget.charge(MISS)
            return other(names, budget)

    return default


MAKERS: dict[type[ast.expr], Callable[[Compiler, Any], Evaluate]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: access,
    ast.Subscript: access,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _if,
    ast.List: _list,
    ast.Dict: _dict,
    ast.JoinedStr: _joined,
    ast.ListComp: comprehension,
    ast.DictComp: comprehension,
    ast.Call: _call,
}
"""The closed list of nodes."""
