"""From a syntax tree to closures, one maker for each node type of a closed list. A node or operator that is not in
the list does not compile; the tree never goes back to Python."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from flows.expressions import values
from flows.expressions.access import LITERAL_NAMES, Evaluate, access
from flows.expressions.functions import FUNCTIONS, METHODS
from flows.expressions.source import ExpressionSyntax, Parsed
from flows.expressions.values import Budget, fault, kind, show
from reactor.contracts.errors import StepFailed

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
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
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: values.equal,
    ast.NotEq: values.unequal,
    ast.Lt: values.less,
    ast.LtE: values.less_equal,
    ast.Gt: values.greater,
    ast.GtE: values.greater_equal,
    ast.In: values.contains,
    ast.NotIn: values.excludes,
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
}
GUARDS = ("default", "has")


class Compiler:
    """Compiles one expression and notes what it reads."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.reads: dict[tuple[str, ...], tuple[int, bool]] = {}
        """Path read → (column, whether it stands in `default` or `has`)."""
        self.locals: list[set[str]] = []
        self.guarded = False

    def compile(self, node: ast.expr) -> Evaluate:
        maker = MAKERS.get(type(node))
        if maker is None:
            raise self.error(node, f"{_describe(node)} is not part of the expression language")
        return maker(self, node)

    def error(self, node: ast.AST, message: str) -> ExpressionSyntax:
        return ExpressionSyntax(message, self.parsed.column(node))

    def note(self, path: tuple[str, ...], node: ast.AST) -> None:
        if not any(path[0] in names for names in self.locals):
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
        raise compiler.error(node, f"the operator {type(node.op).__name__} is not part of the expression language")
    left, right = compiler.compile(node.left), compiler.compile(node.right)
    return lambda names, budget: operate(left(names, budget), right(names, budget))


def _unary(compiler: Compiler, node: ast.UnaryOp) -> Evaluate:
    operate = UNARY.get(type(node.op))
    if operate is None:
        raise compiler.error(node, f"the operator {type(node.op).__name__} is not part of the expression language")
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
        return lambda names, budget: operate(first(names, budget), second(names, budget))

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        left = first(names, budget)
        for operate, part in rest:
            right = part(names, budget)
            if not operate(left, right):
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
    return lambda names, budget: [part(names, budget) for part in parts]


def _dict(compiler: Compiler, node: ast.Dict) -> Evaluate:
    pairs = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise compiler.error(node, "** is not part of the expression language; use merge(a, b)")
        pairs.append((compiler.compile(key), compiler.compile(value)))

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        result = {}
        for key, value in pairs:
            name = key(names, budget)
            if not isinstance(name, str):
                raise fault(f"the key of an object is a string, not {kind(name)} {show(name)}")
            result[name] = value(names, budget)
        return result

    return evaluate


def _joined(compiler: Compiler, node: ast.JoinedStr) -> Evaluate:
    parts: list[Evaluate] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec is not None:
                raise compiler.error(node, "an f-string here has no ! and no format; use fixed(x, 2) and the like")
            parts.append(compiler.compile(part.value))
        else:
            parts.append(compiler.compile(part))

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        return values.sized("".join([values.text(part(names, budget)) for part in parts]))

    return evaluate


def _comprehension(compiler: Compiler, node: ast.ListComp | ast.DictComp) -> Evaluate:
    loops: list[tuple[Evaluate, list[str], list[Evaluate]]] = []
    scope: set[str] = set()
    for generator in node.generators:
        if generator.is_async:
            raise compiler.error(node, "async is not part of the expression language")
        items = compiler.compile(generator.iter)
        targets = _targets(compiler, generator.target)
        scope |= set(targets)
        compiler.locals.append(set(targets))
        loops.append((items, targets, [compiler.compile(test) for test in generator.ifs]))
    if isinstance(node, ast.ListComp):
        element, key = compiler.compile(node.elt), None
    else:
        element, key = compiler.compile(node.value), compiler.compile(node.key)
    del compiler.locals[-len(node.generators) :]

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        result: Any = [] if key is None else {}
        inner = dict(names)

        def turn(level: int) -> None:
            if level == len(loops):
                if key is None:
                    result.append(element(inner, budget))
                else:
                    name = key(inner, budget)
                    if not isinstance(name, str):
                        raise fault(f"the key of an object is a string, not {kind(name)} {show(name)}")
                    result[name] = element(inner, budget)
                return
            items, targets, tests = loops[level]
            for item in _iterate(items(inner, budget)):
                budget.spend(1)
                _bind(inner, targets, item)
                if all(test(inner, budget) for test in tests):
                    turn(level + 1)

        turn(0)
        return result

    return evaluate


def _iterate(value: Any) -> Any:
    if isinstance(value, (list, tuple, str)):
        return value
    if isinstance(value, dict):
        return list(value)
    raise fault(f"`for` goes over a list, an object or a string, not {kind(value)} {show(value)}")


def _targets(compiler: Compiler, target: ast.expr) -> list[str]:
    if isinstance(target, ast.Name):
        names = [target.id]
    elif isinstance(target, (ast.Tuple, ast.List)) and all(isinstance(part, ast.Name) for part in target.elts):
        names = [part.id for part in target.elts if isinstance(part, ast.Name)]
    else:
        raise compiler.error(target, "a comprehension binds plain names")
    for name in names:
        if "__" in name or name in LITERAL_NAMES:
            raise compiler.error(target, f"no such name {name}")
    return names


def _bind(names: dict[str, Any], targets: list[str], item: Any) -> None:
    if len(targets) == 1:
        names[targets[0]] = item
        return
    if not isinstance(item, (list, tuple)) or len(item) != len(targets):
        raise fault(f"cannot take {show(item)} apart into {', '.join(targets)}")
    names.update(zip(targets, item, strict=True))


def _call(compiler: Compiler, node: ast.Call) -> Evaluate:
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise compiler.error(argument, "* is not part of the expression language")
    if isinstance(node.func, ast.Attribute):
        name = compiler.parsed.name(node.func.attr)
        function = METHODS.get(name)
        if function is None:
            near = difflib.get_close_matches(name, METHODS, 1)
            raise compiler.error(node, f"no such method .{name}()" + (f" (did you mean .{near[0]}()?)" if near else ""))
        arguments = [compiler.compile(node.func.value), *(compiler.compile(part) for part in node.args)]
    elif isinstance(node.func, ast.Name):
        name = node.func.id
        if name in GUARDS:
            return _guard(compiler, node, name)
        function = FUNCTIONS.get(name)
        if function is None:
            near = difflib.get_close_matches(name, [*FUNCTIONS, *GUARDS], 1)
            raise compiler.error(node, f"no such function {name}()" + (f" (did you mean {near[0]}?)" if near else ""))
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
    perform = function.perform

    def evaluate(names: Mapping[str, Any], budget: Budget) -> Any:
        given = [argument(names, budget) for argument in arguments]
        extra = {key: value(names, budget) for key, value in named.items()}
        return values.sized(perform(budget, *given, **extra))

    return evaluate


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
    ast.ListComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.Call: _call,
}
"""The closed list of nodes."""
