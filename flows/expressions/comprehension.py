"""List and object comprehensions. Each turn pays for the parts in it."""

from __future__ import annotations

import ast
from typing import Any

from flows.expressions.bounds import ELEMENT, ENTRY, VALUE, Budget
from flows.expressions.compiler import LITERAL_NAMES, Compiler, Evaluate
from flows.expressions.messages import fault, show, told
from reactor.contracts.plan import Names

NESTED = 8
"""Steps of beginning a comprehension inside a turn of another one."""


def comprehension(compiler: Compiler, node: ast.ListComp | ast.DictComp) -> Evaluate:
    loops: list[tuple[Evaluate, list[str], list[Evaluate], int]] = []
    outside = compiler.parts
    for generator in node.generators:
        if generator.is_async:
            raise compiler.error(node, "async is not part of the expression language")
        items = compiler.compile(generator.iter)
        targets = _targets(compiler, generator.target)
        compiler.locals.append(set(targets))
        before = compiler.parts
        tests = [compiler.compile(test) for test in generator.ifs]
        loops.append((items, targets, tests, 2 + compiler.parts - before))
    before = compiler.parts
    if isinstance(node, ast.ListComp):
        element, key = compiler.compile(node.elt), None
    else:
        element, key = compiler.compile(node.value), compiler.compile(node.key)
    cost = 1 + compiler.parts - before
    del compiler.locals[-len(node.generators) :]
    compiler.parts = outside + NESTED
    compiler.makes = True
    room = ELEMENT if key is None else ENTRY

    def evaluate(names: Names, budget: Budget) -> Any:
        result: Any = [] if key is None else {}
        inner = dict(names)

        def turn(level: int) -> None:
            if level == len(loops):
                budget.element(cost, room)
                if key is None:
                    result.append(element(inner, budget))
                else:
                    name = key(inner, budget)
                    if not isinstance(name, str):
                        raise fault(f"the key of an object is a string, not {told(name)}")
                    result[name] = element(inner, budget)
                return
            items, targets, tests, steps = loops[level]
            for item in _iterate(items(inner, budget), budget):
                budget.turn(steps)
                _bind(inner, targets, item)
                if all(test(inner, budget) for test in tests):
                    turn(level + 1)

        turn(0)
        budget.make(VALUE)
        budget.keep(result)
        return result

    return evaluate


def _iterate(value: Any, budget: Budget) -> Any:
    if isinstance(value, (list, tuple, str)):
        return value
    if isinstance(value, dict):
        budget.charge(len(value) // 8)
        return list(value)
    raise fault(f"`for` goes over a list, an object or a string, not {told(value)}")


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
