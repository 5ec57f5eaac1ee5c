"""`from`: where a source begins, meant once."""

from __future__ import annotations

import datetime


def position_problem(text: str) -> str | None:
    """Why a text is no position; None when it is."""
    return (
        None
        if text in ("latest", "earliest") or parse_time(text) is not None
        else (f"from is latest, earliest or a time such as 2026-01-31T12:00:00Z, not {text!r}")
    )


def parse_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None for another text."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
