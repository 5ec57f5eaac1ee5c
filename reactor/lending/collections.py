"""The flows' collections over the store: names, keys and values are checked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from flows.collections import Collection
from reactor.contracts.clock import Clock
from reactor.contracts.collections import MAX_ITEM, MAX_KEY, Item, ItemStore
from reactor.contracts.errors import Overloaded, StepFailed


class StoreCollections:
    """Fulfils `reactor.contracts.collections.Collections`."""

    def __init__(self, store: ItemStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.named: Mapping[str, Collection] = {}

    def update(self, found: Sequence[Collection]) -> None:
        """Those that have errors keep what was last good."""
        good = {one.name: one for one in found if one.good}
        kept = {one.name: self.named[one.name] for one in found if not one.good and one.name in self.named}
        self.named = {**kept, **good}

    def _collection(self, name: str, key: str) -> Collection:
        found = self.named.get(name)
        if found is None:
            raise StepFailed("data.unknown", f"there is no collection {name}: write collections/{name}.yaml")
        if not 1 <= len(key) <= MAX_KEY or "\0" in key:
            raise StepFailed("data.key", f"a key has from 1 to {MAX_KEY} characters", retryable=False)
        return found

    async def get(self, collection: str, key: str) -> Item | None:
        self._collection(collection, key)
        return await self._store.item(collection, key)

    async def put(
        self, collection: str, key: str, value: object, writer: str | None, expected: int | None = None
    ) -> Item | None:
        schema = self._collection(collection, key).validator
        if schema is not None:
            problems = schema.problems(value)
            if problems:
                raise StepFailed(
                    "data.schema", f"the value does not fit {collection}: {'; '.join(problems[:5])}", retryable=False,
                    details={"problems": problems[:20]},
                )  # fmt: skip
        if len(msgspec.json.encode(value)) > MAX_ITEM:
            raise StepFailed("limit", f"a value has at most {MAX_ITEM // 1024**2} MiB", retryable=False)
        try:
            return await self._store.put_item(collection, key, value, writer, self._clock.now(), expected)
        except Overloaded as error:
            raise StepFailed("data.store", f"not written: {error}", retryable=True) from None

    async def delete(self, collection: str, key: str, expected: int | None = None) -> bool | None:
        self._collection(collection, key)
        try:
            return await self._store.delete_item(collection, key, expected)
        except Overloaded as error:
            raise StepFailed("data.store", f"not deleted: {error}", retryable=True) from None

    async def page(self, collection: str, after: str, limit: int) -> Sequence[Item]:
        self._collection(collection, "x")
        return await self._store.items(collection, after, limit)
