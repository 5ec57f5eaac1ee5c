"""Finding rows that cannot be read before anybody asks for them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from reactor.contracts.store import Page, RunFilter
from reactor.store.sqlite import items, reads
from reactor.store.sqlite.database import Database, load
from reactor.store.sqlite.unreadable import UNREADABLE

PAGE = 500


def _pages(read: Callable[[str | None], Page], most: int) -> None:
    cursor = None
    for _ in range(0, most, PAGE):
        cursor = read(cursor).next
        if cursor is None:
            return


def look_through(db: Database, most: int) -> int:
    """Reads the newest rows of each table as lists do; how many cannot be read is then known."""
    _pages(lambda cursor: reads.runs(db, RunFilter(), cursor, PAGE), most)
    _pages(lambda cursor: reads.events(db, cursor, PAGE, None, False), most)
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
