"""YAML documents as plain data, within bounds that hold for what aliases grow into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from plugins.actions._decode import MAX_DEPTH, MAX_ITEM, Recoded, content, over, text_of, too_deep
from plugins.actions._place import Place

MAX_ALIASED = 10_000
"""Values that a document's aliases stand for: the bound of flow files."""
MAX_VALUES = 100_000
"""Values of a document, with those."""


def yaml_documents(place: Place, encoding: str) -> Iterator[Any]:
    """The documents of a file. Plain data only: no tags that make objects. Each document is counted from the parser's
    events before it is built."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with text_of(place, encoding) as counted, text_of(place, encoding) as text:
        try:
            counts = _count(yaml.parse(Recoded(counted), Loader=loader), str(place))
            documents = loader(Recoded(text))
            try:
                for number in counts:
                    if not documents.check_data():
                        return
                    yield plain(documents.get_data(), f"{place}, document {number}")
            finally:
                documents.dispose()
        except yaml.YAMLError as error:
            raise content(f"{place}: {_explained(error)}") from None
        except RecursionError:
            raise too_deep(str(place)) from None
        except (ValueError, OverflowError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise content(f"{place}: {error}") from None


def _explained(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    text = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    return f"{text} (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else text


class _Anchored:
    """A value with an anchor: how many values and characters an alias of it stands for."""

    __slots__ = ("deep", "size", "values")

    def __init__(self) -> None:
        self.values = self.size = 0
        self.deep = 0


def _count(events: Any, name: str) -> Iterator[int]:
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


def plain(value: Any, where: str) -> Any:
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
