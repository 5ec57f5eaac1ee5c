"""Errors of expressions, and how values stand in their messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.text import clean

HIDDEN = "***"
hiding: ContextVar[bool] = ContextVar("hiding", default=False)
"""Whether an expression that reads secrets is evaluated: no value of it stands in a message, however it was made."""


def fault(message: str, **details: object) -> StepFailed:
    """An error of the expression's own making."""
    return StepFailed("expression", message, details=details)


def kind(value: object) -> str:
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


def show(value: object, width: int = 60) -> str:
    """A value in JSON for a message, cut at `width` characters."""
    if hiding.get():
        return HIDDEN
    text = msgspec.json.encode(clean(_front(value, [width + 2], width)), enc_hook=str).decode()
    return text if len(text) <= width else text[: width - 1] + "…"


def told(value: object) -> str:
    """A value with its kind, for a message."""
    return "null" if value is None else f"{kind(value)} {show(value)}"


def _front(value: object, left: list[int], width: int) -> object:
    """As much of a value as can stand in `width` characters of JSON, so that a large one costs no more."""
    left[0] -= 1
    if isinstance(value, str):
        return value[: width + 2]
    if isinstance(value, (list, tuple)):
        return [_front(item, left, width) for item in _until(value, left)]
    if isinstance(value, dict):
        return {key[: width + 2]: _front(value[key], left, width) for key in _until(value, left)}
    return value if not isinstance(value, int) or value.bit_length() < 10_000 else HUGE


HUGE = "a number of many digits"


def _until(values: Iterable[Any], left: list[int]) -> Iterator[Any]:
    for value in values:
        if left[0] <= 0:
            return
        yield value
