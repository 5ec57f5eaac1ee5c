"""Items of collections, on disk and in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import apsw

from reactor.contracts.collections import Item
from reactor.store.codec import decode, encode
from reactor.store.sqlite.database import Database
from reactor.store.sqlite.gathered import Gathered
from reactor.store.sqlite.unreadable import UNREADABLE, Raw, check, reason, repaired_item

_READ = "SELECT key, value, version, at, writer FROM items WHERE collection = ? AND "


def _item(row: Any) -> Item:
    key, value, version, at, writer = row
    check((key,), (at,))
    return Item(key=key, value=decode(value), version=version, at=at, writer=writer)


def find(db: Database, collection: str, key: str) -> Item | None:
    """An item whose value cannot be read has the reason in its place."""
    try:
        row = db.execute(f"{_READ} key = ?", (collection, key)).fetchone()
        return None if row is None else _item(row)
    except UNREADABLE as error:
        return _repaired(db, collection, key, error)


def _repaired(db: Database, collection: str, key: str, error: BaseException) -> Item:
    db.met("items", f"{collection} {key}")
    raw = Raw(db, "items", ("key", "version", "at"), "collection = ? AND key = ?", (collection, key))
    return repaired_item(raw, reason(error))


def page(db: Database, collection: str, after: str, limit: int) -> list[Item]:
    rows = db.execute(f"{_READ} key > ? ORDER BY key LIMIT ?", (collection, after, limit))
    try:
        return [_item(row) for row in rows]
    except UNREADABLE:
        keys = "SELECT key FROM items WHERE collection = ? AND key > ? ORDER BY key LIMIT ?"
        found = [find(db, collection, key) for (key,) in list(db.execute(keys, (collection, after, limit)))]
        return [item for item in found if item is not None]


def sizes(db: apsw.Connection) -> dict[str, int]:
    rows = db.execute("SELECT collection, count(*) FROM items GROUP BY collection")
    return {str(name): int(str(count)) for name, count in rows}


def written(there: Item | None, item: Item, expected: int | None) -> tuple[Item | None, bool]:
    """The answer of a write, and whether something is written: the rule of both stores."""
    if there is not None and item.writer is not None and there.writer == item.writer:
        return there, False
    if expected is not None and (there.version if there is not None else 0) != expected:
        return None, False
    version = (there.version if there is not None else 0) + 1
    return Item(key=item.key, value=item.value, version=version, at=item.at, writer=item.writer), True


class ItemRows(Gathered):
    """Inside the writer's transaction."""

    def put_item(self, collection: str, item: Item, expected: int | None) -> Item | None:
        answer, changes = written(find(self._db, collection, item.key), item, expected)
        if changes and answer is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO items (collection, key, value, version, at, writer) VALUES (?, ?, ?, ?, ?, ?)",
                (collection, answer.key, encode(answer.value), answer.version, answer.at, answer.writer),
            )
        return answer

    def delete_item(self, collection: str, key: str, expected: int | None) -> bool | None:
        there = find(self._db, collection, key)
        if there is not None and expected is not None and there.version != expected:
            return None
        self._db.execute("DELETE FROM items WHERE collection = ? AND key = ?", (collection, key))
        return there is not None


class SqliteItems:
    """`ItemStore` of the SQLite store."""

    def _submit(self, work: Callable[[Any], Any], accepting: bool = False) -> Awaitable[Any]:
        raise NotImplementedError

    async def _read(self, query: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    async def item(self, collection: str, key: str) -> Item | None:
        found: Item | None = await self._read(lambda db: find(db, collection, key))
        return found

    async def put_item(
        self, collection: str, key: str, value: Any, writer: str | None, at: float, expected: int | None = None
    ) -> Item | None:
        item = Item(key=key, value=value, version=0, at=at, writer=writer)
        answer: Item | None = await self._submit(
            lambda rows: rows.put_item(collection, item, expected), accepting=True
        )  # fmt: skip
        return answer

    async def delete_item(self, collection: str, key: str, expected: int | None = None) -> bool | None:
        answer: bool | None = await self._submit(lambda rows: rows.delete_item(collection, key, expected))
        return answer

    async def items(self, collection: str, after: str, limit: int) -> list[Item]:
        found: list[Item] = await self._read(lambda db: page(db, collection, after, limit))
        return found

    async def collection_sizes(self) -> dict[str, int]:
        found: dict[str, int] = await self._read(sizes)
        return found


class MemoryItems:
    """`ItemStore` in memory; values go through the codec, so that nobody shares what another may change."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, Item]] = {}

    async def item(self, collection: str, key: str) -> Item | None:
        return self._items.get(collection, {}).get(key)

    async def put_item(
        self, collection: str, key: str, value: Any, writer: str | None, at: float, expected: int | None = None
    ) -> Item | None:
        there = self._items.get(collection, {}).get(key)
        item = Item(key=key, value=decode(encode(value)), version=0, at=at, writer=writer)
        answer, changes = written(there, item, expected)
        if changes and answer is not None:
            self._items.setdefault(collection, {})[key] = answer
        return answer

    async def delete_item(self, collection: str, key: str, expected: int | None = None) -> bool | None:
        there = self._items.get(collection, {}).get(key)
        if there is not None and expected is not None and there.version != expected:
            return None
        self._items.get(collection, {}).pop(key, None)
        return there is not None

    async def items(self, collection: str, after: str, limit: int) -> list[Item]:
        found = self._items.get(collection, {})
        return [found[key] for key in sorted(found) if key > after][:limit]

    async def collection_sizes(self) -> dict[str, int]:
        return {name: len(found) for name, found in self._items.items() if found}
