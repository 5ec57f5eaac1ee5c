"""What the database connections share: faults by SQLSTATE, and a bound for results."""

from __future__ import annotations

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.kit.sql import Large, Result

MAX_BYTES = 16 * 1024 * 1024
"""The most that one result may take in memory; larger ones go to a file."""
SHOWN = 1000
"""Characters that are shown of a value that is too large."""


def failed(state: str | None, message: str, **details: object) -> StepFailed:
    """A fault of a statement by its SQLSTATE (SQL standard, 24.1): constraint, syntax and access, conflict, data."""
    group = (state or "")[:2]
    type, retryable = {
        "23": ("sql.constraint", False), "42": ("sql.syntax", False), "22": ("sql.data", False),
        "40": ("sql.conflict", True), "25": ("sql.transaction", False), "28": ("sql.refused", False),
        "53": ("sql.resources", True), "55": ("sql.conflict", True), "57": ("sql.cancelled", True),
    }.get(group, ("sql.failed", False))  # fmt: skip
    shown = f"{message} (SQLSTATE {state})" if state else message
    return StepFailed(type, shown, retryable=retryable, details={"sqlstate": state, **details})


def too_slow(seconds: float) -> StepFailed:
    return StepFailed("sql.timeout", f"the statement took longer than {seconds:g} s and was cancelled")


def lost(message: str) -> StepFailed:
    """One session has ended, as a server's operator may end one: the others of the pool go on, and the next session is
    another. When the server is gone, opening that says so."""
    return StepFailed("connection.down", message, retryable=True)


def _weight(value: object) -> int:
    if isinstance(value, (dict, list)):
        return len(msgspec.json.encode(value))
    return len(value) if isinstance(value, str) else 16


class Kept:
    """The rows of one result, as many as fit into memory. What is too much becomes what `large` says; or is left out
    (`more`), where `done` says that the statement has had its effect, which a failure would not undo."""

    def __init__(self, limit: int, done: bool, large: Large) -> None:
        self._limit = limit
        self._done = done
        self._large = large
        self._size = 0
        self.partial = False
        self.rows: list[dict[str, object]] = []
        self.faults: dict[int, str] = {}
        self.more = False

    def add(self, row: dict[str, object], fault: str | None = None) -> bool:
        """Whether there may be more."""
        size = sum(map(_weight, row.values()))
        if size > MAX_BYTES and self._large != "refuse":
            row, size, fault = _shortened(row, size)
        self._size += size
        if self._size > MAX_BYTES and self._large == "stop" and len(self.rows) < self._limit:
            self.rows.append(_shortened(row, size)[0])
            self.partial = self.more = True
            return False
        if self._size > MAX_BYTES and not self._done:
            raise StepFailed(
                "limit", f"the result has more than {MAX_BYTES // 1024**2} MiB; write it to a file with save_to",
                retryable=False, details={"bytes": self._size},
            )  # fmt: skip
        if self.more or len(self.rows) == self._limit or self._size > MAX_BYTES:
            self.more = True
            return False
        if fault is not None:
            self.faults[len(self.rows)] = fault
        self.rows.append(row)
        return True

    def result(self, columns: list[str], count: int) -> Result:
        return Result(
            columns=columns, rows=self.rows, count=count, more=self.more, partial=self.partial, faults=self.faults
        )


def _shortened(row: dict[str, object], size: int) -> tuple[dict[str, object], int, str]:
    found = {}
    for name, value in row.items():
        text = msgspec.json.encode(value).decode() if isinstance(value, (dict, list)) else value
        found[name] = f"{text[:SHOWN]}…" if isinstance(text, str) and len(text) > SHOWN else value
    return found, sum(map(_weight, found.values())), f"the row has {size:,} bytes, more than {MAX_BYTES:,}"
