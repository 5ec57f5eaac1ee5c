"""The two day fields of a cron expression: what the library has under another name, and what it would ignore."""

from __future__ import annotations

import re

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LAST = re.compile(r"(?:([0-7])|(sun|mon|tue|wed|thu|fri|sat))l", re.IGNORECASE)
_BEFORE_LAST = re.compile(r"l-\d+w?", re.IGNORECASE)


def day_fields(day: str, weekday: str) -> tuple[str, str]:
    """Day of the month and day of the week as croniter reads them. `5L` and `friL` (the last Friday of the month)
    become `L5`, `LW` (the last working day) becomes `31W`, which croniter moves into shorter months. Raises ValueError
    for what would not work, or would be ignored beside the other field."""
    for part in day.split(","):
        if _BEFORE_LAST.fullmatch(part):
            raise ValueError(f"{part} (days before the last of the month) is not supported in the day of the month")
        if part.upper() == "LW" and part != day:
            raise ValueError(f"{part} stands alone in the day of the month, not in a list")
    made_day = "31W" if day.upper() == "LW" else day
    made_weekday = ",".join(_last(part) for part in weekday.split(","))
    if _is_open(made_day) or _is_open(made_weekday):
        return made_day, made_weekday
    for text, field, other in ((day, "day of the month", weekday), (weekday, "weekday", day)):
        if _covers_all(text, field):
            raise ValueError(f"{text} in the {field} means every day, so {other} beside it would be ignored; write *")
    if "W" in made_day.upper():
        raise ValueError(f"the weekday {weekday} would be ignored beside {day}: with {day}, the weekday is *")
    if "#" in made_weekday or "L" in made_weekday.upper():
        raise ValueError(f"the day of the month {day} would be ignored beside {weekday}: with {weekday}, the day is *")
    return made_day, made_weekday


def _last(part: str) -> str:
    found = _LAST.fullmatch(part)
    if found is None:
        return part
    number, name = found.groups()
    return f"L{number if number is not None else WEEKDAYS.index(name.lower())}"


def _is_open(field: str) -> bool:
    return field in ("*", "?")


def _covers_all(text: str, field: str) -> bool:
    """Whether numbers and ranges name each day, although the field is not `*`."""
    first, last = (1, 31) if field == "day of the month" else (0, 6)
    days: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, dash, high = span.partition("-")
        if span == "*":
            low, dash, high = str(first), "-", str(last)
        numbers = [_number(one) for one in (low, high or low)]
        if None in numbers or (step and not step.isdigit()):
            return False
        start, end = (one or 0 for one in numbers)
        if step and not dash:
            end = last
        if start > end:
            days.update(range(start, last + 1))
            start = first
        days.update(range(start, end + 1, int(step or 1) or 1))
    if field == "weekday":
        days = {day % 7 for day in days}
    return days >= set(range(first, last + 1))


def _number(text: str) -> int | None:
    if text.lower() in WEEKDAYS:
        return WEEKDAYS.index(text.lower())
    return int(text) if text.isascii() and text.isdigit() else None
