"""Lists and what is counted over them."""

from __future__ import annotations

import functools
from typing import Any

from flows.expressions import values
from flows.expressions.functions._arguments import numeric, sequence, string, whole
from flows.expressions.table import function
from flows.expressions.values import Budget, fault, kind, number, show


@function("len(x)", "The number of elements, keys or characters.", "len([1, 2, 3])", 3)
def length(budget: Budget, x: Any) -> Any:
    if isinstance(x, (list, tuple, dict, str)):
        return len(x)
    raise fault(f"len() needs a list, an object or a string, not {kind(x)} {show(x)}")


def _extreme(name: str, budget: Budget, items: tuple[Any, ...], better: Any) -> Any:
    pool = sequence(name, items[0], budget) if len(items) == 1 else list(items)
    if not pool:
        raise fault(f"{name}() of an empty list")
    best = pool[0]
    for item in pool[1:]:
        if better(item, best):
            best = item
    return best


@function("min(list)", "The smallest element, or of several arguments.", "min([3, 1, 2])", 1)
def smallest(budget: Budget, first: Any, *more: Any) -> Any:
    return _extreme("min", budget, (first, *more), values.less)


@function("max(list)", "The greatest element, or of several arguments.", "max(3, 1, 2)", 3)
def greatest(budget: Budget, first: Any, *more: Any) -> Any:
    return _extreme("max", budget, (first, *more), values.greater)


@function("sum(list)", "All numbers added.", "sum([1, 2, 3])", 6)
def total(budget: Budget, items: Any) -> Any:
    result: Any = 0
    for item in sequence("sum", items, budget):
        result = number(result + numeric("sum", item))
    return result


@function("any(list)", "Whether one element is true.", "any([false, true])", True)
def any_of(budget: Budget, items: Any) -> Any:
    return any(sequence("any", items, budget))


@function("all(list)", "Whether every element is true.", "all([true, true])", True)
def all_of(budget: Budget, items: Any) -> Any:
    return all(sequence("all", items, budget))


def _field(name: str, item: Any, by: Any) -> Any:
    if by is None:
        return item
    if not isinstance(item, dict) or string(name, by) not in item:
        raise fault(f"{name}() finds no key {show(by)} in {show(item)}")
    return item[by]


@function(
    "sorted(list, by, reverse)",
    "In order; `by` is the key to order objects by, `reverse` turns it around.",
    'sorted([{"n": 2}, {"n": 1}], by="n")',
    [{"n": 1}, {"n": 2}],
)
def in_order(budget: Budget, items: Any, by: Any = None, reverse: Any = False) -> Any:
    pool = sequence("sorted", items, budget)
    budget.spend(len(pool))

    def compare(a: Any, b: Any) -> int:
        x, y = _field("sorted", a, by), _field("sorted", b, by)
        if values.same(x, y):
            return 0
        return -1 if values.less(x, y) else 1

    return sorted(pool, key=functools.cmp_to_key(compare), reverse=bool(reverse))


@function("reversed(list)", "Back to front; strings too.", "reversed([1, 2])", [2, 1])
def backwards(budget: Budget, items: Any) -> Any:
    if isinstance(items, str):
        return items[::-1]
    return sequence("reversed", items, budget)[::-1]


@function("list(x)", "A list of the elements, keys or characters.", 'list("ab")', ["a", "b"])
def listed(budget: Budget, x: Any) -> Any:
    if isinstance(x, (str, dict)):
        budget.spend(len(x))
        return list(x)
    return list(sequence("list", x, budget))


@function("range(start, stop, step)", "Whole numbers from start (0) up to, not with, stop.", "range(3)", [0, 1, 2])
def numbers_between(budget: Budget, start: Any, stop: Any = None, step: Any = 1) -> Any:
    low, high = (0, whole("range", start)) if stop is None else (whole("range", start), whole("range", stop))
    if whole("range", step) == 0:
        raise fault("the step of range() is not 0")
    span = range(low, high, step)
    budget.spend(min(len(span), 10**9) if abs(high - low) < 2**62 else 10**9)
    return list(span)


@function(
    "zip(a, b)",
    "Pairs of the elements that stand at the same place.",
    "zip([1, 2], [3, 4])",
    [[1, 3], [2, 4]],
)
def zipped(budget: Budget, first: Any, *more: Any) -> Any:
    return [list(group) for group in zip(*(sequence("zip", part, budget) for part in (first, *more)), strict=False)]


@function("enumerate(list)", "Pairs of place and element.", 'enumerate(["a"])', [[0, "a"]])
def enumerated(budget: Budget, items: Any) -> Any:
    return [[place, item] for place, item in enumerate(sequence("enumerate", items, budget))]


@function("unique(list)", "Without repetitions, the first of each kept.", "unique([1, 2, 1])", [1, 2])
def distinct(budget: Budget, items: Any) -> Any:
    result: list[Any] = []
    seen: set[Any] = set()
    for item in sequence("unique", items, budget):
        if isinstance(item, (list, dict)):
            budget.spend(len(result))
            if not any(values.same(item, other) for other in result):
                result.append(item)
        elif (kind(item), item) not in seen:
            seen.add((kind(item), item))
            result.append(item)
    return result


@function("flatten(list)", "Lists inside the list opened, one level.", "flatten([[1], [2, 3], 4])", [1, 2, 3, 4])
def flattened(budget: Budget, items: Any) -> Any:
    result: list[Any] = []
    for item in sequence("flatten", items, budget):
        if isinstance(item, list):
            budget.spend(len(item))
            result.extend(item)
        else:
            result.append(item)
    return result


@function(
    "group_by(list, key)",
    "An object of lists, by the value under `key`.",
    'group_by([{"k": "a", "n": 1}], "k")',
    {"a": [{"k": "a", "n": 1}]},
)
def grouped(budget: Budget, items: Any, key: Any) -> Any:
    result: dict[str, list[Any]] = {}
    for item in sequence("group_by", items, budget):
        result.setdefault(values.text(_field("group_by", item, key)), []).append(item)
    return result
