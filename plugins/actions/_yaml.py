"""YAML documents as plain data, within bounds that hold for what aliases grow into."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from plugins.actions._decode import CHUNK, MAX_DEPTH, MAX_ITEM, Recoded, content, over, text_of, too_deep
from plugins.actions._place import Place

if TYPE_CHECKING:
    import yaml

MAX_ALIASED = 10_000
"""Values that a document's aliases stand for: the bound of flow files."""
MAX_VALUES = 100_000
"""Values of a document, with those."""


def yaml_documents(place: Place, encoding: str) -> Iterator[object]:
    """The documents of a file. Plain data only: no tags that make objects. Each document is counted from the parser's
    events before it is built."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with text_of(place, encoding) as text:
        try:
            counted, built = _twins(Recoded(text), str(place))
            counts = _count(yaml.parse(counted, Loader=loader), str(place))
            documents = loader(built)
            try:
                for number in counts:
                    if not documents.check_data():
                        return
                    yield plain(_built(documents), f"{place}, document {number}")
            finally:
                documents.dispose()
        except yaml.YAMLError as error:
            raise content(f"{place}: {_explained(error)}") from None
        except RecursionError:
            raise too_deep(str(place)) from None
        except _NotBuilt as error:
            raise content(f"{place}: {error}") from None


class _Twin:
    """One of two readers of the same bytes: what is built is what was counted, whatever others do to the file."""

    def __init__(self, source: Recoded, name: str) -> None:
        self._source, self._name = source, name
        self._rest: collections.deque[bytes] = collections.deque()
        self._size = 0
        self.other = self

    def read(self, size: int = CHUNK, /) -> bytes:
        if not self._rest:
            part = self._source.read(size)
            if part:
                self.other._keep(part)
            return part
        part = self._rest.popleft()
        self._size -= len(part)
        if len(part) > size:
            self._rest.appendleft(part[size:])
            self._size += len(part) - size
        return part[:size]

    def _keep(self, part: bytes) -> None:
        self._rest.append(part)
        self._size += len(part)
        if self._size > 2 * MAX_ITEM:
            raise over(f"{self._name}: a document has more than {2 * MAX_ITEM:,} bytes")


def _twins(source: Recoded, name: str) -> tuple[_Twin, _Twin]:
    one, other = _Twin(source, name), _Twin(source, name)
    one.other, other.other = other, one
    return one, other


class _NotBuilt(Exception):
    """A value is not what its tag says."""


def _built(documents: Any) -> object:
    try:
        return documents.get_data()
    except (UnicodeDecodeError, RecursionError):
        raise
    except (ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
        # the library's constructors raise what they meet: !!int "", !!bool maybe, 2024-02-31
        raise _NotBuilt(f"a value is not what it says: {error}") from None


def _explained(error: object) -> str:
    mark = getattr(error, "problem_mark", None)
    text = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    return f"{text} (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else text


class _Anchored:
    """A value with an anchor: how many values and characters an alias of it stands for."""

    __slots__ = ("deep", "size", "values")

    def __init__(self) -> None:
        self.values = self.size = 0
        self.deep = 0


def _count(events: Iterable[yaml.Event], name: str) -> Iterator[int]:
    """The number of each document once it is known to be within bounds."""
    import yaml

    number = 0
    anchors: dict[str, _Anchored | None] = {}
    values = size = aliased = 0
    stack: list[tuple[str | None, int, int]] = []
    deepest = [0]
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            number += 1
            anchors, stack, deepest = {}, [], [0]
            values = size = aliased = 0
        elif isinstance(event, yaml.DocumentEndEvent):
            yield number
        elif isinstance(event, yaml.ScalarEvent):
            values, size = values + 1, size + len(event.value)
            if event.anchor is not None:
                one = anchors[event.anchor] = _Anchored()
                one.values, one.size = 1, len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            known = anchors.get(str(event.anchor), _Anchored())
            if known is None:
                raise content(f"{name}, document {number}: *{event.anchor} is inside the value that it stands for")
            values, size, aliased = values + known.values, size + known.size, aliased + known.values
            deepest[-1] = max(deepest[-1], known.deep)
            if aliased > MAX_ALIASED:
                raise over(f"{name}, document {number}: aliases stand for more than {MAX_ALIASED:,} values")
            if len(stack) + known.deep > MAX_DEPTH:
                raise too_deep(f"{name}, document {number}")
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, values, size))
            deepest.append(0)
            values += 1
            if event.anchor is not None:
                anchors[event.anchor] = None
            if len(stack) > MAX_DEPTH:
                raise too_deep(f"{name}, document {number}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values_before, size_before = stack.pop()
            below = deepest.pop()
            deepest[-1] = max(deepest[-1], below + 1)
            if anchor is not None:
                one = anchors[anchor] = _Anchored()
                one.values, one.size, one.deep = values - values_before, size - size_before, below + 1
        if values > MAX_VALUES:
            raise over(f"{name}, document {number}: more than {MAX_VALUES:,} values (aliases count each time)")
        if size > MAX_ITEM:
            raise over(f"{name}, document {number}: more than 16 MiB (aliases count each time)")


def plain(value: object, where: str) -> object:
    """YAML's dates as text, its keys as strings."""
    try:
        encoded = msgspec.json.encode(value, enc_hook=str)
    except RecursionError:
        raise too_deep(where) from None
    except (TypeError, ValueError) as error:
        raise content(f"{where}: not plain data: {error}") from None
    if len(encoded) > MAX_ITEM:
        raise over(f"{where}: more than 16 MiB")
    return msgspec.json.decode(encoded)
