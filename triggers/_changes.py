"""A row's change as an event, alike for every database."""

from __future__ import annotations

import re
from typing import Any, Literal

from reactor.contracts.event import Event, rfc3339

Operation = Literal["insert", "update", "delete", "truncate"]
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "delete", "truncate")
TYPES = {"insert": "row.inserted", "update": "row.updated", "delete": "row.deleted", "truncate": "row.truncated"}


def common_problems(options: Any, name: re.Pattern[str], example: str, whole: str) -> list[tuple[str, str]]:
    """What is wrong with `tables`, `operations` and `batch`. `name` is what a part of a table's name may be; `example`
    and `whole` show a table, and all of a schema."""
    found = []
    for table in options.tables:
        parts = table.split(".")
        if len(parts) > 2 or not all(name.fullmatch(p) or (i == 1 and p == "*") for i, p in enumerate(parts)):
            found.append(("tables", f"{table!r} is no table such as {example}, nor all of {whole}"))
    if not options.tables or not options.operations:
        found.append(("tables", "at least one table and one operation"))
    if not 1 <= options.batch <= 10_000:
        found.append(("batch", "batch is from 1 to 10,000"))
    return found


def change_event(
    database: str, operation: str, table: str, old: Any, new: Any, *, key: str, position: str, committed: float,
    transaction: Any, unchanged: list[str] | None = None, snapshot: bool = False,
) -> Event:  # fmt: skip
    """`position` is where the transaction stands in the log, `key` the change's own identity."""
    fields = {
        "table": table, "old": old, "new": new, "position": position, "committed": rfc3339(committed),
        "transaction": transaction, "snapshot": snapshot,
    }  # fmt: skip
    if unchanged:
        fields["unchanged"] = unchanged
    return Event(
        type=TYPES[operation], source=f"{database}:{table}", data=new, key=key, time=committed, fields=fields
    )  # fmt: skip


class Durable:
    """Counts what was offered and what is durable, in order; a position is safe when all before it is durable."""

    def __init__(self) -> None:
        self._offered = 0
        self._durable = 0
        self._marks: list[tuple[int, Any]] = []
        self.safe: Any = None

    @property
    def quiet(self) -> bool:
        return self._offered == self._durable

    def offered(self) -> None:
        self._offered += 1

    def mark(self, position: Any) -> None:
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
