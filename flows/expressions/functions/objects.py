"""Objects."""

from __future__ import annotations

from typing import Any

from flows.expressions.bounds import VALUE, Budget
from flows.expressions.functions._arguments import mapping, sequence, string
from flows.expressions.table import List, Object, function


@function("keys(object)", "The keys, in order.", 'keys({"a": 1})', ["a"], method="keys")
def keys(budget: Budget, x: Object) -> list[str]:
    return list(mapping("keys", x, budget))


@function("values(object)", "The values, in order.", 'values({"a": 1})', [1], method="values")
def values_of(budget: Budget, x: Object) -> list[Any]:
    return list(mapping("values", x, budget).values())


@function("items(object)", "Pairs of key and value.", 'items({"a": 1})', [["a", 1]], method="items")
def items(budget: Budget, x: Object) -> list[Any]:
    source = mapping("items", x, budget)
    budget.charge(len(source) * 4)
    budget.make(len(source) * 2 * VALUE)
    pairs = [[key, value] for key, value in source.items()]
    for pair in pairs:
        budget.keep(pair)
    return pairs


@function("merge(a, b)", "One object of several; later ones win.", 'merge({"a": 1}, {"b": 2})', {"a": 1, "b": 2})
def merge(budget: Budget, first: Object, *more: Object) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for part in (first, *more):
        source = mapping("merge", part, budget)
        budget.make(len(source) * 2 * VALUE)
        result.update(source)
    return result


@function("pick(object, keys)", "Only these keys, where they exist.", 'pick({"a": 1, "b": 2}, ["a"])', {"a": 1})
def pick(budget: Budget, x: Object, wanted: List) -> dict[str, Any]:
    source = mapping("pick", x, budget)
    return {
        key: source[key] for key in (string("pick", key) for key in sequence("pick", wanted, budget)) if key in source
    }


@function("omit(object, keys)", "Without these keys.", 'omit({"a": 1, "b": 2}, ["a"])', {"b": 2})
def omit(budget: Budget, x: Object, unwanted: List) -> dict[str, Any]:
    dropped = {string("omit", key) for key in sequence("omit", unwanted, budget)}
    return {key: value for key, value in mapping("omit", x, budget).items() if key not in dropped}
