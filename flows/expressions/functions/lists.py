"""Lists and what is counted over them."""

from __future__ import annotations

import functools
import math
from typing import Any

from flows.expressions import values
from flows.expressions.bounds import CHARACTERS, ELEMENT, VALUE, Budget
from flows.expressions.functions._arguments import numeric, sequence, string, whole
from flows.expressions.messages import fault, kind, show, told
from flows.expressions.table import Flag, List, Object, Text, Value, Whole, function
from flows.expressions.values import number


@function("len(x)", "The number of elements, keys or characters.", "len([1, 2, 3])", 3, weight=0)
def length(budget: Budget, x: Text | List | Object) -> int:
    if isinstance(x, (list, tuple, dict, str)):
        return len(x)
    hint = "; default(x, []) stands in where there may be none" if x is None else ""
    raise fault(f"len() needs a list, an object or a string, not {told(x)}{hint}")


def _extreme(name: str, budget: Budget, items: tuple[Any, ...], better: Any) -> Any:
    pool = sequence(name, items[0], budget) if len(items) == 1 else list(items)
    if not pool:
        raise fault(f"{name}() of an empty list")
    best = pool[0]
    budget.charge(len(pool) * 2)
    for item in pool[1:]:
        if better(item, best, budget):
            best = item
    return best


@function("min(list)", "The smallest element, or of several arguments.", "min([3, 1, 2])", 1)
def smallest(budget: Budget, first: Value, *more: Value) -> Any:
    return _extreme("min", budget, (first, *more), values.less)


@function("max(list)", "The greatest element, or of several arguments.", "max(3, 1, 2)", 3)
def greatest(budget: Budget, first: Value, *more: Value) -> Any:
    return _extreme("max", budget, (first, *more), values.greater)


@function("sum(list)", "All numbers added.", "sum([1, 2, 3])", 6)
def total(budget: Budget, items: List) -> int | float:
    result: int | float = 0
    pool = sequence("sum", items, budget)
    budget.charge(len(pool))
    for item in pool:
        result = number(result + numeric("sum", item))
    return result


@function("any(list)", "Whether one element is true.", "any([false, true])", True)
def any_of(budget: Budget, items: List) -> bool:
    return any(sequence("any", items, budget))


@function("all(list)", "Whether every element is true.", "all([true, true])", True)
def all_of(budget: Budget, items: List) -> bool:
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
def in_order(budget: Budget, items: List, by: Text | None = None, reverse: Flag = False) -> list[Any]:
    pool = sequence("sorted", items, budget)
    budget.spend(len(pool))
    if len(pool) < 2:
        return list(pool)
    fields = pool if by is None else [_field("sorted", item, by) for item in pool]
    budget.charge(len(pool) * (2 if by is None else 4))
    if _alike(fields):
        budget.charge(len(pool) * len(pool).bit_length() // 4)
        order = sorted(range(len(pool)), key=fields.__getitem__, reverse=bool(reverse))
        return [pool[place] for place in order]

    def compare(a: int, b: int) -> int:
        budget.charge(8)
        x, y = fields[a], fields[b]
        if values.same(x, y, budget):
            return 0
        return -1 if values.less(x, y, budget) else 1

    order = sorted(range(len(pool)), key=functools.cmp_to_key(compare), reverse=bool(reverse))
    return [pool[place] for place in order]


def _alike(fields: list[Any]) -> bool:
    """Whether Python orders these as the language does, and each comparison is short."""
    kinds = set(map(type, fields))
    if kinds == {str}:
        return max(map(len, fields)) <= CHARACTERS
    return kinds <= {int, float} and all(map(math.isfinite, (x for x in fields if type(x) is float)))


@function("reversed(list)", "Back to front; strings too.", "reversed([1, 2])", [2, 1])
def backwards(budget: Budget, items: List | Text) -> list[Any] | str:
    if isinstance(items, str):
        return items[::-1]
    return sequence("reversed", items, budget)[::-1]


@function("list(x)", "A list of the elements, keys or characters.", 'list("ab")', ["a", "b"])
def listed(budget: Budget, x: Text | List | Object) -> list[Any]:
    if isinstance(x, (str, dict)):
        budget.spend(len(x))
        budget.make(len(x) * VALUE)
        return list(x)
    return list(sequence("list", x, budget))


@function("range(start, stop, step)", "Whole numbers from start (0) up to, not with, stop.", "range(3)", [0, 1, 2])
def numbers_between(budget: Budget, start: Whole, stop: Whole | None = None, step: Whole = 1) -> list[int]:
    low, high = (0, whole("range", start)) if stop is None else (whole("range", start), whole("range", stop))
    stride = whole("range", step)
    if stride == 0:
        raise fault("the step of range() is not 0")
    span = range(low, high, stride)
    budget.spend(min(len(span), 10**9) if abs(high - low) < 2**62 else 10**9)
    budget.make(len(span) * VALUE)
    return list(span)


@function(
    "zip(a, b)",
    "Pairs of the elements that stand at the same place.",
    "zip([1, 2], [3, 4])",
    [[1, 3], [2, 4]],
)
def zipped(budget: Budget, first: List, *more: List) -> list[Any]:
    parts = [sequence("zip", part, budget) for part in (first, *more)]
    count = min(map(len, parts))
    budget.charge(count * (4 + len(parts) // 8))
    budget.make(count * (VALUE + ELEMENT * len(parts)))
    return _new(budget, [list(group) for group in zip(*parts, strict=False)])


def _new(budget: Budget, rows: list[Any]) -> list[Any]:
    for row in rows:
        budget.keep(row)
    return rows


@function("enumerate(list)", "Pairs of place and element.", 'enumerate(["a"])', [[0, "a"]])
def enumerated(budget: Budget, items: List) -> list[Any]:
    pool = sequence("enumerate", items, budget)
    budget.charge(len(pool) * 4)
    budget.make(len(pool) * (2 * VALUE))
    return _new(budget, [[place, item] for place, item in enumerate(pool)])


@function("unique(list)", "Without repetitions, the first of each kept.", "unique([1, 2, 1])", [1, 2])
def distinct(budget: Budget, items: List) -> list[Any]:
    result: list[Any] = []
    seen: set[Any] = set()
    pool = sequence("unique", items, budget)
    budget.charge(len(pool) * 3)
    budget.make(len(pool) * 2 * VALUE)
    for item in pool:
        if isinstance(item, (list, dict)):
            budget.spend(len(result))
            if not any(values.same(item, other, budget) for other in result):
                result.append(item)
            continue
        if isinstance(item, str):
            budget.charge(len(item) // CHARACTERS)
        key = _hashed(item)
        if key not in seen:
            seen.add(key)
            result.append(item)
    return result


def _hashed(item: Any) -> Any:
    """What an element that holds no others is known by. Numbers as bytes: their own hashes can be made to collide."""
    if isinstance(item, str) or item is None or isinstance(item, bool):
        return (kind(item), item)
    if isinstance(item, float) and not item.is_integer():
        return item.hex().encode()
    whole_number = int(item)
    return whole_number.to_bytes(whole_number.bit_length() // 8 + 1, "big", signed=True)


@function("flatten(list)", "Lists inside the list opened, one level.", "flatten([[1], [2, 3], 4])", [1, 2, 3, 4])
def flattened(budget: Budget, items: List) -> list[Any]:
    result: list[Any] = []
    for item in sequence("flatten", items, budget):
        if isinstance(item, list):
            budget.spend(len(item))
            budget.make(len(item) * ELEMENT)
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
def grouped(budget: Budget, items: List, key: Text) -> dict[str, list[Any]]:
    result: dict[str, list[Any]] = {}
    pool = sequence("group_by", items, budget)
    budget.charge(len(pool) * 3)
    for item in pool:
        name = values.text(_field("group_by", item, key), budget)
        budget.charge(len(name) // CHARACTERS)
        if name not in result:
            result[name] = []
            budget.make(2 * VALUE + len(name))
        result[name].append(item)
    for group in result.values():
        budget.keep(group)
    return result
