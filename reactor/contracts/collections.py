"""Collections: the flows' own business data, small items by key, kept in the daemon's store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

MAX_ITEM = 1024 * 1024
"""Bytes of one value as JSON."""
MAX_KEY = 400
MAX_PAGE = 1000


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A value by its key. `version` counts its writes from 1; `writer` is the idempotency key of the last one."""

    key: str
    value: Any
    version: int
    at: float
    writer: str | None = None


class ItemStore(Protocol):
    """What the store does for collections; each verb is one transaction."""

    async def item(self, collection: str, key: str) -> Item | None: ...

    async def put_item(
        self, collection: str, key: str, value: Any, writer: str | None, at: float, expected: int | None = None
    ) -> Item | None:
        """Writes and returns the item. `expected` is the version that must be there (0: none), else None comes back
        and nothing is written; a write by the same `writer` again gives what it wrote."""
        ...

    async def delete_item(self, collection: str, key: str, expected: int | None = None) -> bool | None:
        """Whether it was there; None when it has another version than `expected`."""
        ...

    async def items(self, collection: str, after: str, limit: int) -> list[Item]:
        """Items by key (compared by code points), those behind `after`."""
        ...

    async def collection_sizes(self) -> dict[str, int]:
        """Numbers of items by collection."""
        ...


class Collections(Protocol):
    """What actions see: `ItemStore` with each collection's name and schema checked. Raises StepFailed."""

    async def get(self, collection: str, key: str) -> Item | None: ...

    async def put(
        self, collection: str, key: str, value: Any, writer: str | None, expected: int | None = None
    ) -> Item | None: ...

    async def delete(self, collection: str, key: str, expected: int | None = None) -> bool | None: ...

    async def page(self, collection: str, after: str, limit: int) -> Sequence[Item]: ...
