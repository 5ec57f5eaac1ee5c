"""Numbers and conversions."""

from __future__ import annotations

import decimal
from typing import NoReturn

from flows.expressions.bounds import Budget
from flows.expressions.functions._arguments import numeric, whole
from flows.expressions.messages import fault, told
from flows.expressions.table import Flag, Number, Text, Value, Whole, function
from flows.expressions.values import number, text


@function("abs(x)", "The distance from zero.", "abs(-3)", 3)
def absolute(budget: Budget, x: Number) -> int | float:
    return abs(numeric("abs", x))


@function("round(x, digits)", "Rounded, half to even, to `digits` places (0).", "round(2.567, 2)", 2.57, steps=8)
def rounded(budget: Budget, x: Number, digits: Whole = 0) -> int | float:
    places = whole("round", digits)
    if not -40 <= places <= 40:
        raise fault(f"round() keeps -40 to 40 digits, not {places}")
    value = round(numeric("round", x), places)
    return number(int(value) if places <= 0 and isinstance(value, float) else value)


@function(
    "int(x)", "A whole number from a number or its text; cuts off what is behind the point.", 'int("42")', 42, steps=12
)
def integer(budget: Budget, x: Number | Text | Flag) -> int:
    if isinstance(x, bool):
        return int(x)
    if isinstance(x, (int, float)):
        return int(x)
    if isinstance(x, str) and len(x) <= 400:
        try:
            return int(x.strip()) if x.isascii() and "_" not in x else _bad("int", x)
        except ValueError:
            return _bad("int", x)
    return _bad("int", x)


@function("float(x)", "A number from a number or its text.", 'float("2.5")', 2.5, steps=12)
def floating(budget: Budget, x: Number | Text) -> int | float:
    if isinstance(x, bool) or not isinstance(x, (int, float, str)) or (isinstance(x, str) and len(x) > 400):
        return _bad("float", x)
    try:
        value = float(x) if not isinstance(x, str) or (x.isascii() and "_" not in x) else _bad("float", x)
    except (ValueError, OverflowError):
        return _bad("float", x)
    return number(value)


def _bad(name: str, value: object) -> NoReturn:
    raise fault(f"{name}() cannot read {told(value)} as a number")


@function("str(x)", "The text of a value; objects and lists as JSON.", "str(1.5)", "1.5", weight=0)
def stringed(budget: Budget, x: Value) -> str:
    return text(x, budget)


@function("bool(x)", "False for null, false, 0, and what is empty; else true.", 'bool("x")', True, weight=0)
def boolean(budget: Budget, x: Value) -> bool:
    return bool(x)


@function(
    "fixed(x, digits)", "A number as text with exactly `digits` places (2).", "fixed(3.14159, 2)", "3.14", steps=24
)
def fixed(budget: Budget, x: Number, digits: Whole = 2) -> str:
    places = whole("fixed", digits)
    if not 0 <= places <= 40:
        raise fault(f"fixed() keeps 0 to 40 digits, not {places}")
    value = decimal.Decimal(numeric("fixed", x)) if isinstance(x, int) else decimal.Decimal(repr(numeric("fixed", x)))
    with decimal.localcontext() as context:
        context.prec = 400
        if value.adjusted() > 300:
            raise fault("fixed() takes numbers of up to 300 digits")
        quantum = decimal.Decimal(1).scaleb(-places)
        return str(value.quantize(quantum, rounding=decimal.ROUND_HALF_UP))
