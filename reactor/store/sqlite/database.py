"""A connection with what stands beside its tables: large payloads, and the rows that could not be read."""

from __future__ import annotations

from typing import Any

import apsw

from reactor.store.codec import CorruptRecord, decode
from reactor.store.owners import Owners
from reactor.store.payloads import MARK, Payloads

REMEMBERED = 10_000
"""Unreadable rows that are told apart; with more, the number stays at this."""


class Database(apsw.Connection):
    payloads: Payloads
    unreadable: set[tuple[str, object]]
    """Table and key of rows that could not be read."""
    owners: Owners
    """Of the connection that writes."""

    def met(self, table: str, key: object) -> None:
        if len(self.unreadable) < REMEMBERED:
            self.unreadable.add((table, key))


def load(db: Database, data: Any) -> Any:
    """A column's bytes, from its file when it only names one. Raises CorruptRecord."""
    if data is not None and data[:1] == MARK:
        return db.payloads.get(bytes(data[1:]).decode("ascii"))
    return data


def load_or_say(db: Database, data: Any) -> Any:
    """The value of a column for people; what is lost is named in its place."""
    try:
        return decode(load(db, data))
    except CorruptRecord as error:
        db.met("payloads", bytes(data))
        return {"$lost": str(error)}
