"""Errors as instructions to the caller.

ReactorError
├── NotConnected      the other side cannot be reached: back off and listen again (router/sources.py does)
├── NotReady          the connection is fine, but what one source reads is not there: that source alone backs off
├── Overloaded        not accepted, nothing stored: try again after `retry_after` seconds
│   └── StoreFull     the disk (or its reserve) is full: the same, and it heals by itself
├── Refused           the sender's fault: not accepted, and the same thing will be refused again
├── StoreFailed       the disk gave an error: stop acknowledging, exit, reopen
├── StaleClaim        another owner has the run: drop what you hold of it
├── Diverged          a journal entry does not fit its plan: the run is paused
├── Broken            an invariant does not hold: stop this run, never carry on
├── ConfigError       wrong usage or configuration: say it to the operator and stop
└── StepFailed        an action or expression failed: retry and on_error decide
"""

from __future__ import annotations

from typing import Any

ErrorObject = dict[str, Any]
"""`{type, message, status, step, attempt, retryable, details}`, as expressions and the API see it."""

NOT_RETRYABLE = frozenset({"expression", "missing", "limit", "cancelled"})
RETRYABLE_STATUS = frozenset({408, 425, 429})


class ReactorError(Exception):
    """Root of everything that Reactor raises on purpose."""


class NotConnected(ReactorError):
    """The source cannot be reached now; the supervisor backs off and calls `listen` again."""


class NotReady(ReactorError):
    """What this one source reads does not exist or cannot be used (a missing table, stream or queue; a wrong type; no
    right to it). The source retries alone with backoff; the shared connection and its other users go on."""


class Overloaded(ReactorError):
    """Nothing was stored because a bound was reached; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreFull(Overloaded):
    """The disk is full, or its floor of free space is reached; accepting goes on when there is room."""


class Refused(ReactorError):
    """The sender's event was refused; `status` is the HTTP status that says why."""

    def __init__(self, status: int, title: str, detail: str = "") -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail


class StoreFailed(ReactorError):
    """The store's disk returned an error; nothing more may be acknowledged by this process."""


class StaleClaim(ReactorError):
    """The fencing token or the expected sequence number is not the store's."""


class Diverged(ReactorError):
    """A journal entry names a place that the plan does not reach."""


class Broken(ReactorError):
    """An invariant does not hold."""


class ConfigError(ReactorError):
    """The operator's mistake, with what to do about it in the message."""


class StepFailed(ReactorError):
    """A step failed; carries what `error` shows in the flow."""

    def __init__(
        self,
        type: str,
        message: str,
        *,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.status = status
        self.retryable = is_retryable(type, status) if retryable is None else retryable
        self.retry_after = retry_after
        self.details = details or {}

    def as_object(self, step: str | None = None, attempt: int | None = None) -> ErrorObject:
        details = self.details
        if self.retry_after is not None:
            details = {**details, "retry_after": self.retry_after}
        return error_object(
            self.type,
            str(self),
            status=self.status,
            step=step,
            attempt=attempt,
            retryable=self.retryable,
            details=details,
        )


def faults(error: BaseException) -> list[BaseException]:
    """What a group of faults holds, however deep; any other error as it is."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [one for inner in error.exceptions for one in faults(inner)]


def leading(error: BaseException) -> BaseException:
    """The fault of a group that decides what is done: a failed store, then a lost connection (the rest is what follows
    from it), then what is not ready, then the first fault that nobody foresaw, then any other."""
    found = faults(error)
    for kind in (StoreFailed, NotConnected, NotReady):
        for one in found:
            if isinstance(one, kind):
                return one
    return next((one for one in found if not isinstance(one, ReactorError)), found[0])


def words(error: BaseException) -> str:
    """An error's own words, with its type where they need it; never those of the group that it came in."""
    error = leading(error)
    text = str(error)
    if isinstance(error, ReactorError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_retryable(type: str, status: int | None = None) -> bool:
    """The default of `retry.if`: all but the sender's own mistakes."""
    if type in NOT_RETRYABLE:
        return False
    if type == "http.status" and status is not None and 400 <= status < 500:
        return status in RETRYABLE_STATUS
    return True


def error_object(
    type: str,
    message: str,
    *,
    status: int | None = None,
    step: str | None = None,
    attempt: int | None = None,
    retryable: bool | None = None,
    details: dict[str, Any] | None = None,
) -> ErrorObject:
    """One error in the shape that journal, expressions and API share."""
    return {
        "type": type,
        "message": message,
        "status": status,
        "step": step,
        "attempt": attempt,
        "retryable": is_retryable(type, status) if retryable is None else retryable,
        "details": details or {},
    }
