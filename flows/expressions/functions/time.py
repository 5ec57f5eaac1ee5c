"""Dates on data: nothing here reads a clock."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Any

from flows.expressions.bounds import Budget
from flows.expressions.functions._arguments import numeric, string
from flows.expressions.messages import fault, hiding, show
from flows.expressions.table import Duration, Moment, Text, function
from reactor.contracts.event import rfc3339
from reactor.kit.durations import DurationError, parse_duration

LONGEST = 200
FORMATS = 5
"""Formats that Python keeps ready; with more than these each use is charged as the first."""
ZONE = 100


def moment(name: str, value: Any) -> datetime.datetime:
    """A timestamp in RFC 3339 (or seconds since the epoch) as an aware datetime; without a zone it is UTC."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.datetime.fromtimestamp(value, datetime.UTC)
        parsed = datetime.datetime.fromisoformat(string(name, value).strip())
    except (ValueError, OverflowError, OSError):
        raise fault(f"{name}() cannot read {show(value)} as a date; it wants 2026-01-31T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)


def _zone(name: str, zone: Any, budget: Budget) -> datetime.tzinfo:
    budget.compile(f"zone {zone}", ZONE, FORMATS)
    try:
        return zoneinfo.ZoneInfo(string(name, zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise fault(f"{name}() knows no zone {show(zone)}; it wants one such as Europe/Berlin") from None


def _stamp(value: datetime.datetime) -> str:
    try:
        return rfc3339(value.timestamp())
    except (ValueError, OverflowError):
        raise fault("the date is outside the years 1 to 9999") from None


@function("date(t)", "The day of a timestamp, in UTC.", 'date("2026-03-01T23:30:00-02:00")', "2026-03-02", steps=16)
def date(budget: Budget, t: Moment) -> str:
    try:
        return moment("date", t).astimezone(datetime.UTC).strftime("%Y-%m-%d")
    except OverflowError:
        raise fault("the date is outside the years 1 to 9999") from None


@function(
    "parse_date(s, format, zone)",
    "A timestamp in UTC from text; `format` as in strptime, `zone` where the text has none (UTC).",
    'parse_date("31.01.2026 12:00", "%d.%m.%Y %H:%M", "Europe/Berlin")',
    "2026-01-31T11:00:00.000000Z",
    steps=60,
)
def parse_date(budget: Budget, s: Moment, format: Text | None = None, zone: Text = "UTC") -> str:
    if format is None:
        value = moment("parse_date", s)
        return _stamp(value)
    if budget.number > 1 and (len(string("parse_date", format)) > LONGEST or len(string("parse_date", s)) > LONGEST):
        raise fault(f"parse_date() takes a text and a format of up to {LONGEST} characters")
    budget.compile(f"date {format}", LONGEST, FORMATS)
    try:
        parsed = datetime.datetime.strptime(string("parse_date", s), string("parse_date", format))  # noqa: DTZ007
    except (ValueError, re.error):
        raise fault(f"parse_date() cannot read {show(s)} with the format {show(format)}") from None
    return _stamp(parsed if parsed.tzinfo else parsed.replace(tzinfo=_zone("parse_date", zone, budget)))


@function(
    "format_date(t, format, zone)",
    "A timestamp as text; `format` as in strftime.",
    'format_date("2026-01-31T11:00:00Z", "%d.%m.%Y %H:%M", "Europe/Berlin")',
    "31.01.2026 12:00",
    steps=40,
)
def format_date(budget: Budget, t: Moment, format: Text = "%Y-%m-%d", zone: Text = "UTC") -> str:
    wanted = string("format_date", format)
    if len(wanted) > 200:
        raise fault("format_date() takes a format of up to 200 characters")
    try:
        return moment("format_date", t).astimezone(_zone("format_date", zone, budget)).strftime(wanted)
    except (ValueError, OverflowError, UnicodeError):
        raise fault(f"format_date() cannot write {show(t)} with the format {show(wanted)}") from None


@function(
    "add_duration(t, duration)",
    "A timestamp moved by a duration such as 1h30m or -2d.",
    'add_duration("2026-01-31T11:00:00Z", "1d")',
    "2026-02-01T11:00:00.000000Z",
    steps=24,
)
def add_duration(budget: Budget, t: Moment, duration: Duration) -> str:
    words = duration if isinstance(duration, str) else numeric("add_duration", duration)
    sign = 1
    if isinstance(words, str) and words.startswith("-"):
        sign, words = -1, words[1:]
    try:
        if budget.number > 1 and isinstance(words, str) and len(words) > LONGEST:
            raise fault(f"add_duration() takes a duration of up to {LONGEST} characters")
        seconds = parse_duration(words) if isinstance(words, str) else float(words)
        return _stamp(moment("add_duration", t) + datetime.timedelta(seconds=sign * seconds))
    except DurationError as error:
        reason = f": {error}" if not hiding.get() else ""
        raise fault(f"add_duration() cannot read {show(duration)} as a duration{reason}") from None
    except OverflowError:
        raise fault("the date is outside the years 1 to 9999") from None


@function(
    "seconds_between(a, b)",
    "Seconds from the first timestamp to the second.",
    'seconds_between("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")',
    60.0,
    steps=16,
)
def seconds_between(budget: Budget, a: Moment, b: Moment) -> float:
    return (moment("seconds_between", b) - moment("seconds_between", a)).total_seconds()
