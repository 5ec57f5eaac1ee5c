"""Finding rows that cannot be read before anybody asks for them."""

from __future__ import annotations

import msgspec

from reactor.contracts.store import RunFilter
from reactor.store import items, reads
from reactor.store.database import Database, load
from reactor.store.unreadable import UNREADABLE


def look_through(db: Database, most: int) -> int:
    """Reads the newest rows of each table as lists do; how many cannot be read is then known."""
    reads.runs(db, RunFilter(), None, most)
    reads.events(db, None, most, None, False)
    for table, key, column in (("plans", "version", "record"), ("queue", "id", "data"), ("cursors", "rowid", "value")):
        _look_at(db, table, key, column, most)
    for (collection,) in list(db.execute("SELECT DISTINCT CAST(collection AS BLOB) FROM items LIMIT 1000")):
        items.page(db, bytes(collection).decode("utf-8", "replace"), "", most)
    return len(db.unreadable)


def _look_at(db: Database, table: str, key: str, column: str, most: int) -> None:
    if table == "cursors":
        for (source,) in list(db.execute("SELECT DISTINCT CAST(source AS BLOB) FROM cursors LIMIT 1000")):
            reads.cursor_items(db, bytes(source).decode("utf-8", "replace"))
        return
    for name, data in db.execute(
        f"SELECT CAST({key} AS BLOB), CAST({column} AS BLOB) FROM {table} ORDER BY {key} DESC LIMIT ?", (most,)
    ):
        try:
            msgspec.json.decode(load(db, data))
        except UNREADABLE:
            db.met(table, bytes(name).decode("utf-8", "replace"))
