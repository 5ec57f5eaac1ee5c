"""Checks of arguments, with errors that name function and value."""

from __future__ import annotations

from typing import Any

from flows.expressions.bounds import Budget
from flows.expressions.messages import fault, told


def string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise fault(f"{name}() needs a string, not {told(value)}")
    return value


def whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise fault(f"{name}() needs a whole number, not {told(value)}")
    return value


def numeric(name: str, value: object) -> int | float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise fault(f"{name}() needs a number, not {told(value)}")
    return value


def sequence(name: str, value: object, budget: Budget) -> list[Any]:
    """A list; each element costs one step."""
    if not isinstance(value, (list, tuple)):
        raise fault(f"{name}() needs a list, not {told(value)}")
    budget.spend(len(value))
    return value if isinstance(value, list) else list(value)


def mapping(name: str, value: object, budget: Budget) -> dict[str, Any]:
    """An object; each key costs one step."""
    if not isinstance(value, dict):
        raise fault(f"{name}() needs an object, not {told(value)}")
    budget.spend(len(value))
    return value
