"""Rules that all stores share."""

from __future__ import annotations

from reactor.contracts.errors import ErrorObject, error_object

MAX_LOST = 3
"""Claims in a row that ended with their process before anything was written: then the run is left to a person."""


def worn() -> ErrorObject:
    """Why a run whose claims were lost again and again is paused."""
    message = (
        f"the daemon ended {MAX_LOST} times when it went on with this run, before anything of it was written;"
        " resume or cancel the run"
    )
    return error_object("broken", message, retryable=False)


def earliest(wake: float | None, until: float | None) -> float | None:
    """When a run goes on by itself, for people."""
    return wake if until is None else until if wake is None else min(wake, until)
