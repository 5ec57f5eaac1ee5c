"""Closures for constants, names and operators."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from flows.expressions import hints, values
from flows.expressions.bounds import Budget
from flows.expressions.compiler import LITERAL_NAMES, Compiler, Evaluate
from flows.expressions.source import ExpressionSyntax
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import Names
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


def constant(compiler: Compiler, node: ast.Constant) -> Evaluate:
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


def name(compiler: Compiler, node: ast.Name) -> Evaluate:
    name = node.id
    if name in LITERAL_NAMES:
        value = LITERAL_NAMES[name]
        return lambda names, budget: value
    if "__" in name:
        raise compiler.error(node, f"no such name {name}")
    compiler.note((name,), node)

    def read(names: Names, budget: Budget) -> Any:
        try:
            return names[name]
        except KeyError:
            raise StepFailed("missing", f"missing {name}", details={"path": name}) from None

    return read


def binary(compiler: Compiler, node: ast.BinOp) -> Evaluate:
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


def unary(compiler: Compiler, node: ast.UnaryOp) -> Evaluate:
    operate = UNARY.get(type(node.op))
    if operate is None:
        raise _no_operator(compiler, node)
    operand = compiler.compile(node.operand)
    return lambda names, budget: operate(operand(names, budget))


def boolean(compiler: Compiler, node: ast.BoolOp) -> Evaluate:
    parts = [compiler.compile(part) for part in node.values]
    stop_at = isinstance(node.op, ast.Or)
    rest, last = parts[:-1], parts[-1]

    def evaluate(names: Names, budget: Budget) -> Any:
        for part in rest:
            value = part(names, budget)
            if bool(value) is stop_at:
                return value
        return last(names, budget)

    return evaluate


def compare(compiler: Compiler, node: ast.Compare) -> Evaluate:
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

    def evaluate(names: Names, budget: Budget) -> Any:
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


def conditional(compiler: Compiler, node: ast.IfExp) -> Evaluate:
    test, body, other = (compiler.compile(part) for part in (node.test, node.body, node.orelse))
    return lambda names, budget: body(names, budget) if test(names, budget) else other(names, budget)
