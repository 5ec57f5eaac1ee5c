"""Values of the binary log, and of a query, as plain data: alike, so that a snapshot and the stream agree."""

from __future__ import annotations

import datetime
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from reactor.contracts.sql import plain_value

Convert = Callable[[Any], Any]
TIMESTAMPS = frozenset({7, 17})
FLOAT, BIT, SET = 4, 16, 248


def _moment(raw: Any) -> Any:
    """A TIMESTAMP is a moment in UTC, a DATETIME only a reading of some clock."""
    return f"{raw.isoformat()}Z" if isinstance(raw, datetime.datetime) else raw


def _float(raw: Any) -> Any:
    """A single float has six digits, as the server writes it."""
    return float(f"{raw:.6g}") if isinstance(raw, float) else raw


def _bits(raw: Any) -> Any:
    return int(raw, 2) if isinstance(raw, str) else raw


def _set(raw: Any) -> Any:
    return sorted(raw) if raw is not None else []


def convert_logged(type: int) -> Convert:
    """By the number of the column's type in the binary log."""
    if type in TIMESTAMPS:
        return _moment
    return {FLOAT: _float, BIT: _bits, SET: _set}.get(type, plain_value)


_ASKED: dict[str, Convert] = {
    "timestamp": lambda text: f"{text}Z", "float": _float,
    "bit": lambda text: int.from_bytes(b64decode(text)), "set": lambda text: sorted(filter(None, text.split(","))),
}  # fmt: skip


def convert_asked(type: str) -> Convert | None:
    """By the column's DATA_TYPE, for the plain values of a query; None where they are the same."""
    return _ASKED.get(type)
