"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_SHORT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_ISO = re.compile(
    r"P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_SIZES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
MAX_SECONDS = 100 * 366 * 86400.0


class DurationError(ValueError):
    """The text is no duration or size; the message says what one looks like."""


def parse_duration(text: str) -> float:
    """`250ms 10s 1h30m 2d`, or ISO 8601 (`PT1H30M`), in seconds; at most a hundred years.

    Raises DurationError."""
    source = text.strip()
    seconds: float | None = None
    if source.startswith("P") and len(source) > 1:
        match = _ISO.fullmatch(source)
        if match and any(match.groups()):
            weeks, days, hours, minutes, rest = (float(part or 0) for part in match.groups())
            seconds = weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + rest
    elif source and "".join(m.group() for m in _SHORT.finditer(source)) == source:
        seconds = sum(float(m.group(1)) * _UNITS[m.group(2)] for m in _SHORT.finditer(source))
    if seconds is None:
        raise DurationError(f"{text!r} is no duration; write 250ms, 10s, 1h30m, 2d or PT1H30M")
    if seconds > MAX_SECONDS:
        raise DurationError(f"{text!r} is more than a hundred years")
    return seconds


def parse_size(text: str) -> int:
    """`1MiB`, `500KB`, `1024`, in bytes. Raises DurationError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise DurationError(f"{text!r} is no size; write 64KiB, 1MiB or 10GB")
    return int(float(match.group(1)) * _SIZES[match.group(2) or "B"])
