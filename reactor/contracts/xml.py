"""XML as data: one convention for bodies and files."""

from __future__ import annotations

from typing import Any


def local_name(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


def element_value(node: Any) -> Any:
    """An `ElementTree` element as data: attributes as `@name`, text as `#text`, children by name, repeated ones as a
    list; an element with neither attributes nor children is its text, or null."""
    value: dict[str, Any] = {f"@{local_name(name)}": text for name, text in node.attrib.items()}
    for child in node:
        name, inner = local_name(child.tag), element_value(child)
        if name not in value:
            value[name] = inner
        elif isinstance(value[name], list):
            value[name].append(inner)
        else:
            value[name] = [value[name], inner]
    text = (node.text or "").strip()
    if not value:
        return text or None
    if text:
        value["#text"] = text
    return value
