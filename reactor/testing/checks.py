"""How the checks of the store suite are collected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from reactor.contracts.store import Store

Check = Callable[[Store], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def require(condition: Any, message: object = "") -> None:
    if not condition:
        raise AssertionError(message)
