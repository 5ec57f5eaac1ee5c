"""What operators mean on JSON values, and the bounds of everything that an expression may make."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed

MAX_BITS = 128
MAX_SIZE = 1024 * 1024
MAX_STEPS = 10_000


class Budget:
    """Steps left to one evaluation: one for each turn of a comprehension and each element a function walks."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise StepFailed("limit", f"the expression takes more than {MAX_STEPS:,} steps")


def fault(message: str, **details: Any) -> StepFailed:
    """An error of the expression's own making."""
    return StepFailed("expression", message, details=details)


def kind(value: Any) -> str:
    """The JSON kind of a value, as error messages name it."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (list, tuple)):
        return "list"
    if isinstance(value, dict):
        return "object"
    return type(value).__name__


def show(value: Any, width: int = 60) -> str:
    """A value in JSON for a message, cut at `width` characters."""
    if isinstance(value, str) and len(value) > 4 * width:
        value = value[: 4 * width]
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= width else text[: width - 1] + "…"


def sized(value: Any) -> Any:
    """The value, when it is within the size that an expression may make."""
    if isinstance(value, str):
        if len(value) > MAX_SIZE:
            raise StepFailed("limit", "the expression makes a string of more than 1 MiB")
    elif isinstance(value, list) and len(value) * 8 > MAX_SIZE:
        raise StepFailed("limit", "the expression makes a list of more than 1 MiB")
    return value


def number(value: Any) -> Any:
    """The result of arithmetic, when it is finite and within 128 bits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise StepFailed("limit", "the result is no finite number")
    elif value.bit_length() > MAX_BITS:
        raise StepFailed("limit", f"the result needs more than {MAX_BITS} bits")
    return value


def _numbers(left: Any, right: Any, sign: str) -> None:
    if type(left) is float and type(right) is float:
        return
    for value in (left, right):
        if kind(value) != "number":
            raise fault(f"{sign} needs two numbers, not {kind(left)} {show(left)} and {kind(right)} {show(right)}")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise StepFailed("limit", f"arithmetic on a number of more than {MAX_BITS} bits")


def add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_SIZE:
            raise StepFailed("limit", "the expression makes a string of more than 1 MiB")
        return left + right
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        if (len(left) + len(right)) * 8 > MAX_SIZE:
            raise StepFailed("limit", "the expression makes a list of more than 1 MiB")
        return [*left, *right]
    if isinstance(left, str) or isinstance(right, str):
        raise fault(
            f"+ cannot join {kind(left)} {show(left)} and {kind(right)} {show(right)}; use str(…) or an f-string"
        )
    _numbers(left, right, "+")
    return number(left + right)


def subtract(left: Any, right: Any) -> Any:
    _numbers(left, right, "-")
    return number(left - right)


def multiply(left: Any, right: Any) -> Any:
    _numbers(left, right, "*")
    return number(left * right)


def _divisor(left: Any, right: Any, sign: str) -> None:
    _numbers(left, right, sign)
    if right == 0:
        raise fault(f"division by zero: {show(left)} {sign} 0")


def divide(left: Any, right: Any) -> Any:
    _divisor(left, right, "/")
    return number(left / right)


def floor_divide(left: Any, right: Any) -> Any:
    _divisor(left, right, "//")
    return number(left // right)


def modulo(left: Any, right: Any) -> Any:
    _divisor(left, right, "%")
    return number(left % right)


def power(left: Any, right: Any) -> Any:
    _numbers(left, right, "**")
    if left == 0 and right < 0:
        raise fault("0 to a negative power")
    if left < 0 and isinstance(right, float) and not right.is_integer():
        raise fault("a negative number to a fractional power")
    if isinstance(left, int) and isinstance(right, int) and abs(left) > 1:
        if right > MAX_BITS or (left.bit_length() - 1) * right > MAX_BITS:
            raise StepFailed("limit", f"the result needs more than {MAX_BITS} bits")
        if right < -1100:
            return 0.0
    try:
        return number(left**right)
    except OverflowError:
        raise StepFailed("limit", "the result is no finite number") from None


def negative(value: Any) -> Any:
    _numbers(value, 0, "-")
    return number(-value)


def positive(value: Any) -> Any:
    _numbers(value, 0, "+")
    return value


def same(left: Any, right: Any) -> bool:
    """Deep equality by JSON kind, without errors: `1` is not `True`, and kinds never mix."""
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)):
        return isinstance(right, (int, float)) and left == right
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if isinstance(left, (list, tuple)):
        return (
            isinstance(right, (list, tuple))
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(value, right[key]) for key, value in left.items())
        )
    return False


def equal(left: Any, right: Any) -> bool:
    """`==`: within one kind, or with null; between kinds an error, never silently false."""
    if left is None or right is None:
        return left is right
    if type(left) is type(right) and type(left) in (str, int, float, bool):
        return bool(left == right)
    if kind(left) != kind(right):
        raise fault(f"cannot compare {kind(left)} {show(left)} with {kind(right)} {show(right)}")
    return same(left, right)


def unequal(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _ordered(left: Any, right: Any) -> None:
    if type(left) is type(right) and type(left) in (str, int, float):
        return
    a, b = kind(left), kind(right)
    if a != b or a in ("null", "object"):
        raise fault(f"cannot order {a} {show(left)} and {b} {show(right)}")
    if a == "list":
        for x, y in zip(left, right, strict=False):
            if not same(x, y):
                _ordered(x, y)
                return


def less(left: Any, right: Any) -> bool:
    _ordered(left, right)
    return bool(left < right)


def less_equal(left: Any, right: Any) -> bool:
    _ordered(left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    _ordered(left, right)
    return bool(left > right)


def greater_equal(left: Any, right: Any) -> bool:
    _ordered(left, right)
    return bool(left >= right)


def contains(item: Any, container: Any) -> bool:
    """`in`: element of a list, key of an object, part of a string; compares without error."""
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if isinstance(container, (list, tuple)):
        return any(same(item, element) for element in container)
    raise fault(f"`in` needs a list, an object or a string on its right, not {kind(container)} {show(container)}")


def excludes(item: Any, container: Any) -> bool:
    return not contains(item, container)


def text(value: Any) -> str:
    """A value as it stands in a joined string: strings as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
