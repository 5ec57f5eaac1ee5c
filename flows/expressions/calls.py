"""Closures for calls of functions and methods of the table, and for `default` and `has`."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from flows.expressions import hints
from flows.expressions.bounds import CHARACTERS, ELEMENT, ENTRY, VALUE, Budget
from flows.expressions.compiler import Compiler, Evaluate
from flows.expressions.functions import FUNCTIONS, METHODS
from flows.expressions.values import sized
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import Names

GUARDS = ("default", "has")
MISS = 8
"""Steps of an absent path in `default` and `has`: an error that is caught."""
MADE = 6
"""Steps of a list or an object that a function makes."""
NOTHING: dict[str, Any] = {}


def call(compiler: Compiler, node: ast.Call) -> Evaluate:
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

    def evaluate(names: Names, budget: Budget) -> Any:
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

        def has(names: Names, budget: Budget) -> Any:
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

    def default(names: Names, budget: Budget) -> Any:
        try:
            return path(names, budget)
        except StepFailed as error:
            if error.type != "missing":
                raise
            budget.charge(MISS)
            return other(names, budget)

    return default
