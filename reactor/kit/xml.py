"""XML as data: one convention and one set of bounds for bodies and files.

An element is an object: attributes as `@name`, text as `#text`, children by name, repeated ones as a list; an element
with neither attributes nor children is its text, or null. Names are without their namespace.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 100
"""Elements within one another."""
MAX_ELEMENTS = 100_000
"""Elements of one value."""
MAX_ATTRIBUTES = 1_000
"""Attributes of one element."""
MAX_TEXT = 16 * 1024 * 1024
"""Characters of one value: names, attributes and text."""


class XmlLimit(Exception):
    """The XML passes a bound."""


def local_name(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


class _Open:
    """An element whose end is not read yet."""

    __slots__ = ("name", "parent", "text", "value")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.name = local_name(tag)
        self.value: dict[str, Any] = {f"@{local_name(name)}": text for name, text in attributes.items()}
        self.text: list[str] = []
        self.parent = False
        """Whether a child was read: text behind it is not kept."""

    def add(self, name: str, inner: Any) -> None:
        found = self.value.get(name, self)
        if found is self:
            self.value[name] = inner
        elif isinstance(found, list):
            found.append(inner)
        else:
            self.value[name] = [found, inner]


class XmlValues:
    """The target of an XML parser: makes a value of each element of one name that stands below the root, or of the root
    when no name is given. Nothing else is kept. Raises XmlLimit."""

    def __init__(self, element: str | None = None) -> None:
        self._element = element
        self._depth = 0
        self._open: list[_Open] = []
        self._elements = self._size = 0
        self.root: str | None = None
        self.values: list[Any] = []
        """What is complete; the reader takes it away."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise XmlLimit(f"elements are nested more than {MAX_DEPTH} deep")
        if len(attributes) > MAX_ATTRIBUTES:
            raise XmlLimit(f"an element has more than {MAX_ATTRIBUTES:,} attributes")
        if self.root is None:
            self.root = local_name(tag)
            wanted = self._element is None
        else:
            wanted = bool(self._open) or local_name(tag) == self._element
        if not wanted:
            return
        if self._open:
            self._open[-1].parent = True
        else:
            self._elements = self._size = 0
        self._open.append(_Open(tag, attributes))
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise XmlLimit(f"a value has more than {MAX_ELEMENTS:,} elements")
        self._charge(len(tag) + sum(len(name) + len(text) for name, text in attributes.items()))

    def data(self, text: str) -> None:
        if self._open and not self._open[-1].parent:
            self._open[-1].text.append(text)
            self._charge(len(text))

    def end(self, tag: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        one = self._open.pop()
        text = "".join(one.text).strip()
        value: Any = one.value
        if not value:
            value = text or None
        elif text:
            value["#text"] = text
        if self._open:
            self._open[-1].add(one.name, value)
        else:
            self.values.append(value)

    def close(self) -> None:
        return None

    def _charge(self, size: int) -> None:
        self._size += size
        if self._size > MAX_TEXT:
            raise XmlLimit(f"a value has more than {MAX_TEXT:,} characters")
