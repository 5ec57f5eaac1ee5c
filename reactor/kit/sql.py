"""What a database connection lends: one protocol for PostgreSQL, MySQL, MariaDB and SQLite, and one way to write
parameters. `:name` (of an object) or `:1` (of a list) is a parameter, bound and never put into the text."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.text import is_text, named, not_utf8, raw

Dialect = Literal["postgres", "mysql", "sqlite"]
Large = Literal["refuse", "cut", "stop"]
"""What becomes of rows that do not fit: the statement fails (`limit`); a row that is too large by itself comes with its
long values cut, and that as its fault; or, moreover, the result ends with the first row that does not fit, cut."""
Params = Mapping[str, Any] | Sequence[Any] | None
_PARAMETER = re.compile(r":([A-Za-z_][A-Za-z0-9_]*|[1-9][0-9]{0,3})")
_DOLLAR = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)?\$")


class Statement(msgspec.Struct, frozen=True):
    """SQL cut at its parameters: `parts` has one text more than `names` has names."""

    parts: tuple[str, ...]
    names: tuple[str, ...]

    def values(self, params: Params) -> list[Any]:
        """The value of each name, in order. Raises StepFailed for a name that has none."""
        found = []
        for name in self.names:
            try:
                if name.isdigit():
                    found.append(params[int(name) - 1])  # type: ignore[index]
                else:
                    found.append(params[name])  # type: ignore[index,call-overload]
            except (LookupError, TypeError):
                raise StepFailed("expression", f"the query has :{name}, params has not", retryable=False) from None
        return found


class Result(msgspec.Struct, kw_only=True):
    """What a statement gave. `count`: rows returned, or changed. `more`: there were more rows than the limit."""

    columns: list[str]
    rows: list[dict[str, Any]]
    count: int
    more: bool = False
    partial: bool = False
    """The last row is the first that did not fit: it only shows where the next ones begin."""
    faults: dict[int, str] = msgspec.field(default_factory=dict)
    """What is wrong with some of the rows, by their places: text that is not UTF-8, too many bytes."""


class Session(Protocol):
    """One connection of the pool."""

    async def run(self, query: str, params: Params = None, limit: int = 10_000, large: Large = "refuse") -> Result:
        """Runs one statement. `large` says what becomes of rows that do not fit into memory. Raises
        StepFailed (types `sql.*`, `connection.down`)."""
        ...

    def stream(self, query: str, params: Params = None, batch: int = 500) -> AsyncIterator[list[dict[str, Any]]]:
        """The rows, `batch` at a time, never all in memory."""
        ...

    async def many(self, query: str, rows: Sequence[Sequence[Any]]) -> int:
        """Runs one statement with parameters `:1 …` for each row; how many rows it changed in all."""
        ...

    def transaction(self, read_only: bool = False) -> AbstractAsyncContextManager[None]:
        """Commits at the end of the block, rolls back when it raises."""
        ...


class Database(Protocol):
    """A pool."""

    dialect: Dialect

    def session(self, timeout: float) -> AbstractAsyncContextManager[Session]:
        """A connection while the block runs; a statement that takes longer than `timeout` seconds is cancelled."""
        ...


def parse_statement(query: str, dialect: Dialect) -> Statement:
    """Finds the parameters, outside of strings, quoted names, comments and casts."""
    parts: list[str] = []
    names: list[str] = []
    begun = place = 0
    while place < len(query):
        end = _skip(query, place, dialect)
        if end > place:
            place = end
            continue
        match = _PARAMETER.match(query, place)
        if match and not (place and (query[place - 1].isalnum() or query[place - 1] in "_:]")):
            parts.append(query[begun:place])
            names.append(match.group(1))
            begun = place = match.end()
            continue
        place += 2 if query.startswith("::", place) else 1
    return Statement((*parts, query[begun:]), tuple(names))


def _skip(query: str, place: int, dialect: Dialect) -> int:
    """The end of the string, name or comment that begins here; `place` when none does."""
    char = query[place]
    if query.startswith("--", place) or (char == "#" and dialect == "mysql"):
        return _after(query, "\n", place)
    if query.startswith("/*", place):
        return _comment(query, place) if dialect == "postgres" else _after(query, "*/", place + 2)
    if char == "$" and dialect == "postgres":
        match = _DOLLAR.match(query, place)
        return _after(query, match.group(), match.end()) if match else place
    if char == "[" and dialect == "sqlite":
        return _after(query, "]", place)
    if char in "'\"" or (char == "`" and dialect != "postgres"):
        escapes = dialect == "mysql" and char != "`"
        if dialect == "postgres" and char == "'" and place and query[place - 1] in "eE":
            escapes = place < 2 or not (query[place - 2].isalnum() or query[place - 2] == "_")
        return _quoted(query, place, char, escapes)
    return place


def _after(query: str, mark: str, place: int) -> int:
    found = query.find(mark, place)
    return len(query) if found < 0 else found + len(mark)


def _quoted(query: str, place: int, quote: str, escapes: bool) -> int:
    place += 1
    while place < len(query):
        if escapes and query[place] == "\\":
            place += 2
        elif query[place] == quote:
            place += 1
            if not query.startswith(quote, place):
                return place
            place += 1
        else:
            place += 1
    return place


def _comment(query: str, place: int) -> int:
    depth = 0
    while place < len(query):
        if query.startswith("/*", place):
            depth, place = depth + 1, place + 2
        elif query.startswith("*/", place):
            depth, place = depth - 1, place + 2
            if depth == 0:
                return place
        else:
            place += 1
    return place


def quote_part(name: str, dialect: Dialect) -> str:
    """One name, of a column or of a schema, as the database takes it literally."""
    mark = "`" if dialect == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def quote_name(name: str, dialect: Dialect) -> str:
    """A table, written as `split_name` reads it, as the database takes it literally."""
    return ".".join(quote_part(part, dialect) for part in split_name(name, dialect))


def split_name(text: str, dialect: Dialect) -> list[str]:
    """The parts of a table's name as SQL writes it: `schema.table`, and in quotes (MySQL: backticks) where a part has
    other characters: `"My Shop"."Öl.Sorten"`. Raises ValueError."""
    mark = "`" if dialect == "mysql" else '"'
    parts = []
    place = 0
    while True:
        if text.startswith(mark, place):
            end = _quoted(text, place, mark, False)
            if end - place < 3 or text[end - 1] != mark:
                raise ValueError(f"a quoted name has characters, and a closing {mark}")
            parts.append(text[place + 1 : end - 1].replace(mark * 2, mark))
        else:
            found = text.find(".", place)
            end = len(text) if found < 0 else found
            parts.append(text[place:end])
        if end == len(text):
            return parts
        if text[end] != ".":
            raise ValueError("a dot is expected behind a quoted name")
        place = end + 1


def plain_row(
    columns: Iterable[tuple[str, Callable[[str], Any] | None]], texts: Iterable[str | None]
) -> tuple[dict[str, Any], str | None]:
    """A row whose values came as text, and what is wrong with it. A value that cannot be read stays the text; one that
    is not UTF-8 is shown escaped, with its bytes beside it."""
    row: dict[str, Any] = {}
    faults = []
    for (name, convert), text in zip(columns, texts, strict=True):
        if text is None:
            row[name] = None
        elif not is_text(text):
            row |= named(name, text)
            faults.append(f"the column {name}: {not_utf8(raw(text)) or 'it has a character that UTF-8 has not'}")
        elif convert is None:
            row[name] = text
        else:
            try:
                row[name] = convert(text)
            except (ValueError, ArithmeticError, LookupError) as error:
                row[name] = text
                faults.append(f"the column {name} has {text[:80]!r}, which cannot be read: {error}")
    return row, "; ".join(faults) or None


def plain_number(value: decimal.Decimal) -> int | float | str:
    """An exact numeric as JSON: a number that has all its digits, else their text."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        if value.adjusted() > 19:  # thousands of digits would be more than an int is made of
            return format(value.to_integral_value(), "f")
        whole = int(value)
        return whole if -(2**63) <= whole < 2**63 else str(whole)
    near = float(value)
    return near if decimal.Decimal(repr(near)) == value else format(value, "f")


def plain_json(text: str) -> Any:
    """What a column of JSON has; one that JSON has no form for (a lone surrogate, a number beyond all) stays text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def plain_value(value: Any) -> Any:
    """A value of a row as JSON has it: numerics exact (a text where a number would lose digits), times as RFC 3339
    (UTC where they have a zone), bytes as base64, intervals as ISO 8601."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, decimal.Decimal):
        return plain_number(value)
    if isinstance(value, datetime.datetime):
        return _moment(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, uuid.UUID) or not isinstance(value, Iterable):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(one) for one in value]
    return str(value)


def _moment(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat() + "Z"


def _duration(value: datetime.timedelta) -> str:
    """ISO 8601, in days and seconds."""
    sign = "-" if value < datetime.timedelta() else ""
    value = abs(value)
    seconds = f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{value.days}D" if value.days else ""
    return f"{sign}P{days}" + (f"T{seconds}S" if seconds != "0" or not days else "")
