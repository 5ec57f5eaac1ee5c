"""What was read of one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flows.collections import Collection, read_collections
from flows.connections import Connection, load_connections
from flows.context import Kinds
from flows.loader import Document, load_file
from flows.tree import Found, how


@dataclass
class FileRead:
    """What stands in a file, how it stood then, and how those stood that it names."""

    found: Found
    named: dict[str, Found | None]
    documents: list[Document] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    collections: list[Collection] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        found = [one.problems for one in self.documents]
        found += [one.problems for one in self.connections]
        return any((*found, *(one.problems for one in self.collections)))

    def states(self) -> tuple[Found | None, ...]:
        """How the files that it names stand now."""
        return tuple(how(name) for name in self.named)


def read(path: str, sort: str, found: Found, kinds: Kinds, folder: str | None) -> FileRead:
    """`sort` is `flow`, `connection` or `collection`; `folder` where relative paths start, if not beside the file."""
    place = Path(path)
    if sort == "connection":
        return FileRead(found, {}, connections=load_connections(place, kinds))
    if sort == "collection":
        return FileRead(found, {}, collections=read_collections(place, kinds))
    documents = load_file(place, kinds, folder)
    named = {name for document in documents for name in document.files}
    states = {str(place.parent / name): how(str(place.parent / name)) for name in sorted(named)}
    return FileRead(found, states, documents=documents)
