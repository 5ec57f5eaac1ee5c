"""The flows' own data: small values by key, in collections that have a file each."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from reactor.contracts.action import ActionContext
from reactor.contracts.collections import MAX_PAGE, Collections, Item
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.kinds import ActionKind, Given

MAX_LOOKED = 100_000
"""Items that one query looks at."""
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "has"]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    collection: str
    """A collection of collections/, written out."""


class GetOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key."""
    default: Any = None
    """The value when there is none."""


class PutOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key."""
    value: Any
    """The value; it fits the collection's schema."""
    if_version: int | None = None
    """Only when this version is there (0: none yet), else the step fails with data.version."""
    allow_secrets: bool = False
    """Whether the key and the value may contain a secret: what is kept here is shown in lists and results."""


class DeleteOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key."""
    if_version: int | None = None
    """Only when this version is there, else the step fails with data.version."""


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    field: str
    """A field of the value, such as address.city; key for the key."""
    is_: Operator = msgspec.field(name="is", default="==")
    value: Any = None


class QueryOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    where: list[Where] = msgspec.field(default_factory=list)
    """Conditions that must all hold: `field`, `is` (== != < <= > >= in has) and `value`."""
    prefix: str = ""
    """Keys that begin so."""
    order: str | None = None
    """A field to sort by, `-field` for the largest first; by key unless given."""
    limit: int = 100
    """The most items, up to 1,000."""
    after: str = ""
    """Goes on behind this key: `next` of the page before. Not with `order`."""


def collections_of(context: ActionContext) -> Collections:
    """Raises StepFailed where there are none."""
    if context.collections is None:
        raise StepFailed("data.unknown", "there are no collections here", retryable=False)
    return context.collections


class _Data(ActionKind[Given]):
    uses_collection = True
    literal_options = ("collection",)


class Get(_Data[GetOptions]):
    name = "data.get"
    summary = "Reads a value by its key; `version` is 0 when there is none."
    repeat = "safe"
    Options = GetOptions
    result_fields = ("value", "version", "found")
    example = "call: data.get\nwith: {collection: customers, key: c-1, default: {visits: 0}}"

    async def run(self, options: GetOptions, context: ActionContext) -> object:
        item = await collections_of(context).get(options.collection, options.key)
        if item is None:
            return {"value": options.default, "version": 0, "found": False}
        return {"value": item.value, "version": item.version, "found": True}


class Put(_Data[PutOptions]):
    name = "data.put"
    summary = "Writes a value by its key. After a crash it is written once."
    repeat = "safe"
    Options = PutOptions
    result_fields = ("version",)
    example = "call: data.put\nwith: {collection: customers, key: c-1, value: {visits: 1}}"

    async def run(self, options: PutOptions, context: ActionContext) -> object:
        if not options.allow_secrets and context.reveals([options.key, options.value]):
            raise StepFailed(
                "data.secret",
                "the key or the value contains a secret, which would be kept in the open; "
                "leave it out, or say `allow_secrets: true`",
                retryable=False,
            )
        item = await collections_of(context).put(
            options.collection, options.key, options.value, context.idempotency_key, options.if_version
        )
        if item is None:
            raise _changed(options.collection, options.key, options.if_version)
        return {"version": item.version}


class Delete(_Data[DeleteOptions]):
    name = "data.delete"
    summary = "Removes a value by its key."
    repeat = "safe"
    Options = DeleteOptions
    result_fields = ("deleted",)
    example = "call: data.delete\nwith: {collection: customers, key: c-1}"

    async def run(self, options: DeleteOptions, context: ActionContext) -> object:
        deleted = await collections_of(context).delete(options.collection, options.key, options.if_version)
        if deleted is None:
            raise _changed(options.collection, options.key, options.if_version)
        return {"deleted": deleted}


class Query(_Data[QueryOptions]):
    name = "data.query"
    summary = "Finds values by their fields."
    repeat = "safe"
    Options = QueryOptions
    result_fields = ("items", "count", "next")
    example = (
        "call: data.query\nwith: {collection: customers, where: [{field: visits, is: '>', value: 5}], order: -visits}"
    )

    async def run(self, options: QueryOptions, context: ActionContext) -> object:
        if not 1 <= options.limit <= MAX_PAGE:
            raise StepFailed("expression", f"limit is from 1 to {MAX_PAGE:,}", retryable=False)
        if options.order is not None and options.after:
            raise StepFailed("expression", "after goes on by key, so it excludes order", retryable=False)
        found: list[Item] = []
        place, looked = max(options.after, options.prefix[:-1] if options.prefix else ""), 0
        last: str | None = None
        while True:
            page = await collections_of(context).page(options.collection, place, MAX_PAGE)
            for item in page:
                looked += 1
                if item.key.startswith(options.prefix) and all(holds(item, one) for one in options.where):
                    found.append(item)
                    if options.order is None and len(found) == options.limit:
                        last = item.key
                        break
            if last is not None or len(page) < MAX_PAGE:
                break
            place = page[-1].key
            if place > options.prefix and not place.startswith(options.prefix):
                break
            if looked > MAX_LOOKED:
                raise StepFailed(
                    "limit", f"a query looks at {MAX_LOOKED:,} items at most; give a prefix", retryable=False
                )
        if options.order is not None:
            found = _sorted(found, options.order)[: options.limit]
        items = [{"key": one.key, "value": one.value, "version": one.version, "at": rfc3339(one.at)} for one in found]
        return {"items": items, "count": len(items), "next": last}


def _changed(collection: str, key: str, version: int | None) -> StepFailed:
    return StepFailed(
        "data.version", f"{key} of {collection} has not the version {version}: another has written it", retryable=False
    )


MISSING = object()


def field_of(item: Item, path: str) -> object:
    """MISSING when the value has no such field."""
    if path == "key":
        return item.key
    value = item.value
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def holds(item: Item, where: Where) -> bool:
    """Values compare within one JSON type; a missing field holds only for `!=`."""
    value, wanted, how = field_of(item, where.field), where.value, where.is_
    if how == "!=":
        return not _equal(value, wanted)
    if value is MISSING:
        return False
    if how == "==":
        return _equal(value, wanted)
    if how == "in":
        return isinstance(wanted, list) and any(_equal(value, one) for one in wanted)
    if how == "has":
        return any(_equal(one, wanted) for one in value) if isinstance(value, list) else False
    if _rank(value) != _rank(wanted) or _rank(value) not in (1, 2):
        return False
    return bool({"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[how])


def _equal(one: object, other: object) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _rank(value: object) -> int:
    """Order of types: null and missing, numbers, texts, all else."""
    if value is None or value is MISSING:
        return 0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 1
    return 2 if isinstance(value, str) else 3


def _sorted(items: list[Item], order: str) -> list[Item]:
    name = order.removeprefix("-")

    def place(item: Item) -> tuple[int, object]:
        value = field_of(item, name)
        rank = _rank(value)
        return rank, value if rank in (1, 2) else msgspec.json.encode(value).decode() if rank == 3 else 0

    return sorted(items, key=place, reverse=order.startswith("-"))
