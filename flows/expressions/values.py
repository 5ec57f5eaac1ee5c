"""What operators mean on JSON values. Each is charged for what it reads, compares and makes."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from flows.expressions.bounds import CHARACTERS, ELEMENT, MAX_BITS, MAX_DEPTH, MAX_SIZE, VALUE, Budget, limit, too_deep
from flows.expressions.messages import fault, kind, show, told


def sized(value: Any) -> Any:
    """The value, when it is within the size that an expression may make."""
    if isinstance(value, str):
        if len(value) > MAX_SIZE:
            raise limit("the expression makes a string of more than 1 MiB")
    elif isinstance(value, list) and len(value) * ELEMENT > MAX_SIZE:
        raise limit("the expression makes a list of more than 1 MiB")
    return value


def number(value: int | float) -> int | float:
    """The result of arithmetic, when it is finite and within 128 bits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise limit("the result is no finite number")
    elif value.bit_length() > MAX_BITS:
        raise limit(f"the result needs more than {MAX_BITS} bits")
    return value


def _numbers(left: object, right: object, sign: str) -> None:
    if type(left) is float and type(right) is float:
        return
    for value in (left, right):
        if kind(value) != "number":
            raise fault(f"{sign} needs two numbers, not {told(left)} and {told(right)}")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise limit(f"arithmetic on a number of more than {MAX_BITS} bits")


def add(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        length = len(left) + len(right)
        if length > MAX_SIZE:
            raise limit("the expression makes a string of more than 1 MiB")
        budget.charge(length // CHARACTERS)
        return budget.made(left + right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        length = len(left) + len(right)
        if length * ELEMENT > MAX_SIZE:
            raise limit("the expression makes a list of more than 1 MiB")
        budget.charge(6 + length // 8)
        budget.make(VALUE + length * ELEMENT)
        joined = [*left, *right]
        budget.keep(joined)
        return joined
    if isinstance(left, str) or isinstance(right, str):
        raise fault(f"+ cannot join {told(left)} and {told(right)}; use str(…) or an f-string")
    _numbers(left, right, "+")
    return number(left + right)


def subtract(left: Any, right: Any, budget: Budget) -> Any:
    _numbers(left, right, "-")
    return number(left - right)


def multiply(left: Any, right: Any, budget: Budget) -> Any:
    _numbers(left, right, "*")
    return number(left * right)


def _divisor(left: Any, right: Any, sign: str) -> None:
    _numbers(left, right, sign)
    if right == 0:
        raise fault(f"division by zero: {show(left)} {sign} 0")


def divide(left: Any, right: Any, budget: Budget) -> Any:
    _divisor(left, right, "/")
    return number(left / right)


def floor_divide(left: Any, right: Any, budget: Budget) -> Any:
    _divisor(left, right, "//")
    return number(left // right)


def modulo(left: Any, right: Any, budget: Budget) -> Any:
    _divisor(left, right, "%")
    return number(left % right)


def power(left: Any, right: Any, budget: Budget) -> Any:
    _numbers(left, right, "**")
    if left == 0 and right < 0:
        raise fault("0 to a negative power")
    if left < 0 and isinstance(right, float) and not right.is_integer():
        raise fault("a negative number to a fractional power")
    if isinstance(left, int) and isinstance(right, int) and abs(left) > 1:
        if right > MAX_BITS or (left.bit_length() - 1) * right > MAX_BITS:
            raise limit(f"the result needs more than {MAX_BITS} bits")
        if right < -1100:
            return 0.0
    try:
        return number(left**right)
    except OverflowError:
        raise limit("the result is no finite number") from None


def negative(value: Any) -> Any:
    _numbers(value, 0, "-")
    return number(-value)


def positive(value: Any) -> Any:
    _numbers(value, 0, "+")
    return value


def same(left: object, right: object, budget: Budget, depth: int = 0) -> bool:
    """Deep equality by JSON kind, without errors: `1` is not `True`, and kinds never mix. Each pair costs a step."""
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)):
        return isinstance(right, (int, float)) and left == right
    if isinstance(left, str):
        if not isinstance(right, str) or len(left) != len(right):
            return False
        if len(left) > CHARACTERS:
            budget.charge(len(left) // CHARACTERS)
        return left == right
    if budget.number > 1 and depth > MAX_DEPTH:
        raise too_deep()
    if isinstance(left, (list, tuple)):
        if not isinstance(right, (list, tuple)) or len(left) != len(right):
            return False
        for a, b in zip(left, right, strict=True):
            budget.charge(2)
            if not same(a, b, budget, depth + 1):
                return False
        return True
    if isinstance(left, dict):
        if not isinstance(right, dict) or len(left) != len(right):
            return False
        budget.charge(len(left))
        if left.keys() != right.keys():
            return False
        for key, value in left.items():
            budget.charge(2)
            if not same(value, right[key], budget, depth + 1):
                return False
        return True
    return False


_PLAIN = frozenset({str, int, float, bool})


def equal(left: object, right: object, budget: Budget) -> bool:
    """`==`: within one kind, or with null; between kinds an error, never silently false."""
    if left is None or right is None:
        return left is right
    if type(left) is type(right) and type(left) in _PLAIN:
        if type(left) is str and len(left) > CHARACTERS:
            budget.charge(len(left) // CHARACTERS)
        return bool(left == right)
    if kind(left) != kind(right):
        raise fault(f"cannot compare {told(left)} with {told(right)}")
    return same(left, right, budget)


def unequal(left: object, right: object, budget: Budget) -> bool:
    return not equal(left, right, budget)


def _ordered(left: Any, right: Any, budget: Budget) -> None:
    if type(left) is type(right) and type(left) in (str, int, float):
        if type(left) is str:
            budget.charge(min(len(left), len(right)) // CHARACTERS)
        return
    a, b = kind(left), kind(right)
    if a != b or a in ("null", "object"):
        raise fault(f"cannot order {a} {show(left)} and {b} {show(right)}")
    if a == "list":
        budget.charge(4)
        for x, y in zip(left, right, strict=False):
            budget.charge(3)
            if not same(x, y, budget):
                _ordered(x, y, budget)
                return


def less(left: Any, right: Any, budget: Budget) -> bool:
    _ordered(left, right, budget)
    return bool(left < right)


def less_equal(left: Any, right: Any, budget: Budget) -> bool:
    _ordered(left, right, budget)
    return bool(left <= right)


def greater(left: Any, right: Any, budget: Budget) -> bool:
    _ordered(left, right, budget)
    return bool(left > right)


def greater_equal(left: Any, right: Any, budget: Budget) -> bool:
    _ordered(left, right, budget)
    return bool(left >= right)


def contains(item: object, container: object, budget: Budget) -> bool:
    """`in`: element of a list, key of an object, part of a string; compares without error."""
    if isinstance(container, str):
        if not isinstance(item, str):
            return False
        budget.search(container, item)
        return item in container
    if isinstance(container, dict):
        if not isinstance(item, str):
            return False
        budget.charge(len(item) // CHARACTERS)
        return item in container
    if isinstance(container, (list, tuple)):
        if type(item) is str and len(item) <= CHARACTERS:
            # a string equals nothing but a string, so that Python's own search gives the same answer
            budget.charge(len(container) // 8)
            return item in container
        for element in container:
            budget.charge(2)
            if same(item, element, budget):
                return True
        return False
    raise fault(f"`in` needs a list, an object or a string on its right, not {told(container)}")


def excludes(item: object, container: object, budget: Budget) -> bool:
    return not contains(item, container, budget)


def text(value: object, budget: Budget) -> str:
    """A value as it stands in a joined string: strings as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    budget.charge(3)
    size = budget.weigh(value)
    if size > MAX_SIZE * 4:
        raise limit("the expression makes a string of more than 1 MiB")
    return msgspec.json.encode(value).decode()
