"""Rules that all stores share."""

from __future__ import annotations

from reactor.contracts.errors import ErrorObject, error_object
from reactor.contracts.run import Begun, Start, Status

MAX_LOST = 3
"""Claims in a row that ended with their owner before anything was written: then the run is left to a person."""


def kept_of(start: Start, alive: bool) -> Begun | None:
    """What of a start's beginning is stored. Nothing where it waits for its turn, or where its acceptor would have to
    go on with it and may not (`alive`: whether it has a lease): then the run begins when it is claimed."""
    begun = start.begun if start.concurrency_key is None else None
    return None if begun is not None and goes_on(begun) and not alive else begun


def goes_on(begun: Begun) -> bool:
    """Whether the acceptor goes on with the run at once, and so has it claimed."""
    return begun.live is not None and begun.change.status is Status.running


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
