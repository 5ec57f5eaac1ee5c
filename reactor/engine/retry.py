"""When the next attempt of a step is made. Pure: jitter is a hash of run, path and attempt."""

from __future__ import annotations

import hashlib

from reactor.contracts.errors import ErrorObject
from reactor.contracts.plan import Retry

MAX_RETRY_AFTER = 86400.0


def delay(retry: Retry, run: str, path: str, attempt: int, error: ErrorObject) -> float:
    """Seconds to wait after failed attempt number `attempt` (1 for the first).

    Doubles from `first` up to `last` (or is what `waits` says), less up to a quarter of jitter; a Retry-After of the
    other side wins.
    """
    asked = error["details"].get("retry_after") if isinstance(error.get("details"), dict) else None
    if isinstance(asked, (int, float)) and not isinstance(asked, bool) and asked >= 0:
        return min(float(asked), MAX_RETRY_AFTER)
    if retry.waits:
        pause = retry.waits[min(attempt, len(retry.waits)) - 1]
    else:
        pause = min(retry.first * 2.0 ** min(attempt - 1, 60), retry.last)
    digest = hashlib.blake2b(f"{run}|{path}|{attempt}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    return pause * (1.0 - 0.25 * share)
