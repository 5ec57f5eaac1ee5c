"""The files in `collections/`: name and JSON Schema of each collection of the flows' own data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flows.beside import FilesBeside
from flows.connections import NAME
from flows.context import Kinds
from flows.definitions import definition_documents, definition_files
from flows.nodes import Node
from flows.problems import Problem
from flows.report import Report
from flows.value_schema import read_value_schema
from reactor.contracts.plan import Validator

FOLDER = "collections"
KEYS = ("collection", "description", "schema")


@dataclass
class Collection:
    """One collection of a file; `validator` is None when any value fits. `good` is False when its file has errors."""

    file: str
    name: str
    validator: Validator | None = None
    description: str = ""
    problems: list[Problem] = field(default_factory=list)
    good: bool = True
    line: int = 1


def load_collections(paths: Iterable[Path], kinds: Kinds) -> list[Collection]:
    """All collections under the directories."""
    files = dict.fromkeys(file for path in paths for file in definition_files(path, FOLDER))
    return named_once([one for file in files for one in read_collections(file, kinds)])


def named_once(found: list[Collection]) -> list[Collection]:
    """The same; the later of two with one name has a problem."""
    named: dict[str, Collection] = {}
    for one in found:
        first = named.setdefault(one.name, one)
        if first is not one and one.name:
            message = f"the collection {one.name} is already in {first.file}"
            one.problems.append(Problem(one.file, one.line, 1, message))
        one.good = not one.problems
    return found


def read_collections(path: Path, kinds: Kinds) -> list[Collection]:
    """All collections of a file; an unreadable one has a problem."""
    documents, problems = definition_documents(path, "collection", "a `schema`")
    if problems:
        return [Collection(str(path), "", None, "", problems)]
    return [_read(document, path, kinds, len(documents) == 1) for document in documents]


def _read(node: Node, path: Path, kinds: Kinds, alone: bool) -> Collection:
    report = Report(str(path))
    made = Collection(str(path), "", None, "", report.problems, True, node.line)
    if not report.expect(node, "map", "a collection"):
        return made
    report.unknown(node, KEYS, "a collection")
    name_node = node.get("collection")
    made.name = (report.text(name_node, "collection") or "") if name_node is not None else path.stem if alone else ""
    if not NAME.fullmatch(made.name):
        report.problem(name_node or node, f"the name {made.name!r} of the collection is not made of a-z, 0-9 and -")
    description = node.get("description")
    if description is not None:
        made.description = report.text(description, "description") or ""
    schema = node.get("schema")
    if schema is not None:
        read = read_value_schema(report, FilesBeside(str(path.parent)), kinds.make_validator, schema)
        made.validator = read.validator if read is not None else None
    return made
