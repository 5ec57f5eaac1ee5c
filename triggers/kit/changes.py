"""A row's change as an event, alike for every database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from reactor.contracts.errors import NotConnected, NotReady, leading
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.text import shown
from reactor.kit.sql import Dialect, quote_part, split_name

Operation = Literal["insert", "update", "delete", "truncate"]
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "delete", "truncate")
TYPES = {"insert": "row.inserted", "update": "row.updated", "delete": "row.deleted", "truncate": "row.truncated"}
CHANGE_FIELDS = ("table", "old", "new", "position", "committed", "transaction", "snapshot", "unchanged")
"""What `event` has of a change."""
_BARE = {"postgres": re.compile(r"[^\W\d][\w$]*"), "mysql": re.compile(r"[\w$-]+")}
"""What a part of a name may be without quotes."""
_LONGEST = {"postgres": 63, "mysql": 64}
"""PostgreSQL counts bytes, MySQL characters."""
Row: TypeAlias = dict[str, Any]
"""A row's values as JSON has them, by column."""
Position = TypeVar("Position")


class Tables(Protocol):
    """What the options of all databases have."""

    @property
    def tables(self) -> Sequence[str]: ...

    @property
    def operations(self) -> Sequence[Operation]: ...

    @property
    def batch(self) -> int: ...


class TableName(NamedTuple):
    schema: str
    name: str

    def quoted(self, dialect: Dialect) -> str:
        """As a statement has it."""
        return f"{quote_part(self.schema, dialect)}.{quote_part(self.name, dialect)}"

    def written(self, dialect: Dialect) -> str:
        """As events, and the option `tables`, have it: in quotes only where SQL needs them."""
        parts = (p if _BARE[dialect].fullmatch(p) else quote_part(p, dialect) for p in (self.schema, self.name))
        return shown(".".join(parts))


class Pattern(NamedTuple):
    """An item of `tables`. `schema` is None where it is the default one, `name` for all tables of a schema."""

    schema: str | None
    name: str | None

    def table(self, default: str) -> TableName:
        return TableName(self.schema or default, self.name or "")


def parse_pattern(text: str, dialect: Dialect) -> Pattern:
    """Raises ValueError for what names no table."""
    parts = split_name(text, dialect)
    whole = len(parts) == 2 and parts[1] == "*" and text.endswith(".*")
    mark = "`" if dialect == "mysql" else '"'
    for part in parts[:1] if whole else parts:
        if quote_part(part, dialect) not in text and not _BARE[dialect].fullmatch(part):
            raise ValueError(f"write {quote_part(part, dialect)}, in quotes" if part else "a name is missing")
        size = len(part.encode()) if dialect == "postgres" else len(part)
        if size > _LONGEST[dialect] or "\0" in part:
            raise ValueError(f"a name has at most {_LONGEST[dialect]} characters")
    if len(parts) > 2:
        raise ValueError(f"it has {len(parts)} parts; a dot within a name stands in {mark}quotes{mark}")
    return Pattern(parts[0] if len(parts) == 2 else None, None if whole else parts[-1])


def patterns(options: Tables, dialect: Dialect) -> list[Pattern]:
    return [parse_pattern(text, dialect) for text in options.tables]


def common_problems(options: Tables, dialect: Dialect, example: str, whole: str) -> list[tuple[str, str]]:
    """What is wrong with `tables`, `operations` and `batch`. `example` shows a table, `whole` a schema."""
    found = []
    for table in options.tables:
        try:
            parse_pattern(table, dialect)
        except ValueError as error:
            found.append(("tables", f"{table!r} is not a table such as {example}, nor all of {whole}: {error}"))
    if not options.tables or not options.operations:
        found.append(("tables", "at least one table and one operation"))
    if not 1 <= options.batch <= 10_000:
        found.append(("batch", "batch is from 1 to 10,000"))
    return found


def source_fault(kind: str, error: BaseException) -> NotConnected | NotReady:
    """What ended a source, as the supervisor takes it. Only what the shared client itself calls a lost connection is
    one: a missing table, a refused statement, a stream of the source's own that ended are the source's, and nobody
    else's who uses the connection."""
    error = leading(error)
    if isinstance(error, (NotConnected, NotReady)):
        return error
    return NotReady(f"{kind}: {str(error).strip() or type(error).__name__}")


def change_event(
    database: str, operation: str, table: str, old: Row | None, new: Row | None, *, key: str, position: str,
    committed: float, transaction: object, unchanged: list[str] | None = None, snapshot: bool = False,
    fault: str | None = None,
) -> Event:  # fmt: skip
    """`position` is where the transaction stands in the log, `key` the change's own identity; with a `fault` of the row
    it becomes a dead letter."""
    fields = {
        "table": table, "old": old, "new": new, "position": position, "committed": rfc3339(committed),
        "transaction": transaction, "snapshot": snapshot,
    }  # fmt: skip
    if unchanged:
        fields["unchanged"] = unchanged
    invalid = None if fault is None else f"{table} at {position}: {fault}"
    return Event(
        type=TYPES[operation], source=f"{database}:{table}", data=new, key=shown(key), time=committed, fields=fields,
        invalid=invalid,
    )  # fmt: skip


class Durable(Generic[Position]):
    """Counts what was offered and what is durable, in order; a position is safe when all before it is durable."""

    def __init__(self) -> None:
        self._offered = 0
        self._durable = 0
        self._marks: list[tuple[int, Position]] = []
        self.safe: Position | None = None

    @property
    def quiet(self) -> bool:
        return self._offered == self._durable

    def offered(self) -> None:
        self._offered += 1

    def mark(self, position: Position) -> None:
        """Everything offered so far belongs before `position`."""
        self._marks.append((self._offered, position))
        self._move()

    def done(self, count: int) -> None:
        self._durable += count
        self._move()

    def _move(self) -> None:
        place = 0
        while place < len(self._marks) and self._marks[place][0] <= self._durable:
            self.safe = self._marks[place][1]
            place += 1
        del self._marks[:place]
