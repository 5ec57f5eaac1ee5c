"""Rows that cannot be read: a damaged value, a text that is not UTF-8, a word that this version does not know. What can
be read of such a row is shown in its place, with the reason; its neighbours are not hurt."""

from __future__ import annotations

from typing import Any

import apsw

from reactor.contracts.collections import Item
from reactor.contracts.errors import error_object
from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.run import RunRecord, Status
from reactor.contracts.text import shown
from reactor.store.codec import CorruptRecord, decode, decode_event, readable_verdicts
from reactor.store.sqlite.database import Database, load

UNREADABLE = (CorruptRecord, ValueError, TypeError, LookupError, AttributeError, apsw.CorruptError)
"""What reading a row may raise. Decoding errors of msgspec and of texts are ValueErrors."""


def reason(error: BaseException) -> str:
    """The reason in words."""
    if isinstance(error, CorruptRecord):
        return str(error)
    return f"a value of this row cannot be read: {error}"


def is_moment(value: Any) -> bool:
    """Whether a column holds seconds since the epoch."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check(texts: tuple[Any, ...], moments: tuple[Any, ...]) -> None:
    """Raises ValueError unless all are texts, and all moments can be shown (or are None)."""
    for value in texts:
        if not isinstance(value, str):
            raise ValueError(f"{value!r:.40} is not a text")
    for value in moments:
        if value is not None and not is_moment(value):
            raise ValueError(f"{value!r:.40} is not a time")


class Raw:
    """The columns of one row, each read by itself as bytes, number or None."""

    def __init__(
        self, db: Database, table: str, columns: tuple[str, ...], condition: str, values: tuple[Any, ...]
    ) -> None:
        self._found: dict[str, Any] = {}
        for column in columns:
            sql = (
                f"SELECT CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"
                f" FROM {table} WHERE {condition}"
            )
            try:
                row = db.execute(sql, values).fetchone()
            except UNREADABLE:
                continue
            self._found[column] = None if row is None else row[0]

    def text(self, column: str) -> str:
        value = self._found.get(column)
        return shown(bytes(value)) if isinstance(value, bytes) else "" if value is None else str(value)

    def number(self, column: str) -> float | None:
        value = self._found.get(column)
        return float(value) if value is not None and is_moment(value) else None

    def data(self, column: str) -> Any:
        value = self._found.get(column)
        return bytes(value) if isinstance(value, bytes) else None


def _value(db: Database, raw: Raw, column: str) -> Any:
    try:
        return decode(load(db, raw.data(column)))
    except UNREADABLE as error:
        return {"$lost": reason(error)}


def repaired_run(db: Database, raw: Raw, why: str) -> RunRecord:
    """A run of which only a part can be read; `error` has the reason."""
    word = raw.text("status")
    known = word in set(Status)
    event = raw.text("event")
    return RunRecord(
        id=raw.text("id"),
        flow=raw.text("flow"),
        version=raw.text("version"),
        event=event,
        trigger=raw.text("trigger"),
        status=Status(word) if known else Status.paused,
        created=raw.number("created") or 0.0,
        started=raw.number("started"),
        ended=raw.number("ended"),
        wake=raw.number("wake"),
        output=_value(db, raw, "output"),
        error=error_object("corrupt", why, retryable=False),
        events=[event],
        shift=raw.number("shift") or 0.0,
    )


def repaired_event(db: Database, raw: Raw, why: str) -> StoredEvent:
    """An event of which only a part can be read; `invalid` has the reason."""
    try:
        event = decode_event(load(db, raw.data("event")))
    except UNREADABLE:
        event = Event(type="lost", source=raw.text("origin"))
    return StoredEvent(
        id=raw.text("id"),
        at=raw.number("at") or 0.0,
        origin=raw.text("origin"),
        flows=raw.text("flows"),
        invalid=why,
        verdicts=readable_verdicts(raw.data("verdicts")),
        event=event,
    )


def repaired_item(raw: Raw, why: str) -> Item:
    """An item whose value cannot be read; the reason stands in its place."""
    return Item(
        key=raw.text("key"), value={"$lost": why}, version=int(raw.number("version") or 0),
        at=raw.number("at") or 0.0, writer=None,
    )  # fmt: skip
