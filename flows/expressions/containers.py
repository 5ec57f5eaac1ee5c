"""Closures for lists, objects and f-strings that are written out."""

from __future__ import annotations

import ast
from typing import Any

from flows.expressions import values
from flows.expressions.bounds import CHARACTERS, ELEMENT, ENTRY, MAX_SIZE, VALUE, Budget, limit
from flows.expressions.compiler import Compiler, Evaluate
from flows.expressions.messages import fault, told
from reactor.contracts.plan import Names

TEXT = 3
"""Steps of an f-string."""


def list_of(compiler: Compiler, node: ast.List) -> Evaluate:
    parts = [compiler.compile(part) for part in node.elts]
    size = VALUE + ELEMENT * len(parts)
    compiler.makes = True

    def evaluate(names: Names, budget: Budget) -> Any:
        result = [part(names, budget) for part in parts]
        budget.make(size)
        budget.keep(result)
        return result

    return evaluate


def object_of(compiler: Compiler, node: ast.Dict) -> Evaluate:
    pairs = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise compiler.error(node, "** is not part of the expression language; use merge(a, b)")
        pairs.append((compiler.compile(key), compiler.compile(value)))
    size = VALUE + ENTRY * len(pairs)
    compiler.makes = True

    def evaluate(names: Names, budget: Budget) -> Any:
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


def f_string(compiler: Compiler, node: ast.JoinedStr) -> Evaluate:
    parts: list[Evaluate] = []
    compiler.parts += TEXT
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec is not None:
                raise compiler.error(node, "an f-string here has no ! and no format; use fixed(x, 2) and the like")
            parts.append(compiler.compile(part.value))
        else:
            parts.append(compiler.compile(part))

    def evaluate(names: Names, budget: Budget) -> Any:
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
