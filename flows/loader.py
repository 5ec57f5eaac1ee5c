"""Which files of a directory are flows, and what a set of them says together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.compile import compile_flow, default_name
from flows.connections import Connection, use_problem
from flows.context import Kinds
from flows.definitions import files_under
from flows.nodes import Node, parse_documents
from flows.problems import Problem, suggest
from flows.tree import sort_of
from flows.uses import Uses
from reactor.contracts import plan
from reactor.contracts.event import type_matches

MAX_FILE = 1024 * 1024
MAX_HINTS = 20
"""Missing flows for which near names are looked for."""


@dataclass
class Document:
    """One flow of a file: its plan when it is good, its problems, and what other flows must fit."""

    file: str
    name: str
    plan: plan.Plan | None
    problems: list[Problem]
    line: int = 1
    uses: Uses = field(default_factory=Uses)
    files: dict[str, str] = field(default_factory=dict)
    """Texts of the files that it names."""


def flow_files(directory: Path) -> list[Path]:
    """The flow files under a directory, in order of their paths. Raises ValueError for one that is a Python package,
    OSError when the disk fails."""
    refuse_package(directory)
    return [path for path in files_under(directory) if sort_of(path.relative_to(directory).as_posix()) == "flow"]


def refuse_package(directory: Path) -> None:
    """Raises ValueError for a Python package: somebody named the wrong directory."""
    if (directory / "__init__.py").exists():
        raise ValueError(f"{directory} is a Python package, not a directory of flows; name another with --flows")


def load_text(
    text: str,
    file: str,
    folder: str,
    kinds: Kinds,
    work: str | None = None,
    context: dict[str, str] | None = None,
) -> list[Document]:
    """All flows of one file's text. Also what brings an old version back from the store."""
    documents, problems = parse_documents(text, file)
    if problems:
        return [Document(file, "", None, problems)]
    if file.endswith(".json") and not any(_looks_like_flow(document) for document in documents):
        return []  # data that flows write beside themselves
    if not documents:
        return [Document(file, "", None, [Problem(file, 1, 1, "the file is empty; a flow has `when` and `do`")])]
    loaded = []
    for document in documents:
        compiled, reading = compile_flow(document, file, folder, text, kinds, len(documents) == 1, work, context)
        name = document.get("flow") if document.kind == "map" else None
        given = name.value if name is not None else None
        label = compiled.flow if compiled else given if isinstance(given, str) else default_name(file)
        loaded.append(
            Document(
                file,
                label,
                compiled,
                reading.report.problems,
                document.line,
                reading.uses,
                reading.files.texts,
            )
        )
    return loaded


def _looks_like_flow(document: Node) -> bool:
    return document.kind == "map" and any(key in document.entries for key in ("flow", "when", "do"))


def load_file(path: Path, kinds: Kinds, work: str | None = None) -> list[Document]:
    """All flows of a file; an unreadable one is a document with a problem."""
    file = str(path)
    try:
        if path.stat().st_size > MAX_FILE:
            if path.suffix == ".json":
                return []
            return [Document(file, "", None, [Problem(file, 1, 1, "a flow file has at most 1 MiB")])]
        text = path.read_text("utf-8-sig")
    except OSError as error:
        return [Document(file, "", None, [Problem(file, 1, 1, f"cannot be read: {error.strerror or error}")])]
    except UnicodeDecodeError:
        return [Document(file, "", None, [Problem(file, 1, 1, "is not UTF-8 text")])]
    return load_text(text, file, str(path.parent.absolute()), kinds, work)


def cross_check(
    documents: Iterable[Document],
    kinds: Kinds,
    connections: Mapping[str, Connection] | None = None,
    collections: Iterable[str] | None = None,
) -> None:
    """What only several files show: names taken twice, sources with two sets of options, missing sub-flows, circles,
    missing connections and collections (None: not looked at). Problems are added to the documents; a document
    that gets an error loses its plan."""
    pool = list(documents)
    names: dict[str, Document] = {}
    for document in pool:
        if document.plan is None:
            if document.name and document.name not in names:
                names.setdefault(document.name, document)
            continue
        first = names.get(document.plan.flow)
        if first is not None:
            _refuse(document, document.line, f"the flow {document.plan.flow} is already in {first.file}")
        else:
            names[document.plan.flow] = document
    if connections is not None:
        _connections(pool, kinds, connections)
    if collections is not None:
        _collections(pool, sorted(set(collections)))
    _sources(pool, kinds)
    _sub_flows(pool, names)
    _emit_loops(pool)


def _refuse(document: Document, line: int, message: str, column: int = 1, severity: str = "error") -> None:
    document.problems.append(Problem(document.file, line, column, message, severity))
    if severity == "error":
        document.plan = None


def _connections(pool: list[Document], kinds: Kinds, named: Mapping[str, Connection]) -> None:
    for document in pool:
        for value, wanted, node in document.uses.connections:
            message = use_problem(value, wanted, named, kinds.connections)
            if message is not None:
                usual = node.value is None  # not written out: the usual name may still come
                _refuse(document, node.line, message, node.column, "warning" if usual else "error")


def _collections(pool: list[Document], named: list[str]) -> None:
    for document in pool:
        for value, node in document.uses.collections:
            if value not in named:
                message = f"there is no collection {value}{suggest(value, named)}; write it as collections/{value}.yaml"
                _refuse(document, node.line, message, node.column)


def _sources(pool: list[Document], kinds: Kinds) -> None:
    claimed: dict[str, tuple[str, Document]] = {}
    for document in pool:
        if document.plan is None:
            continue
        for trigger in document.plan.triggers:
            claim = kinds.triggers.get(trigger.kind).claim(trigger.options)
            if claim is None:
                continue
            first = claimed.setdefault(claim, (trigger.source, document))
            if first[0] != trigger.source:
                _refuse(
                    document,
                    trigger.line,
                    f"{claim} has other options here than in {first[1].file}; one source has one set of options",
                )
                break


def _sub_flows(pool: list[Document], names: dict[str, Document]) -> None:
    hints: dict[str, str] = {}
    """By the missing name: looking for near names among thousands is slow."""
    for document in pool:
        if document.plan is None:
            continue
        for called, node in document.uses.calls:
            target = names.get(called)
            if target is None:
                if called not in hints and len(hints) < MAX_HINTS:
                    hints[called] = suggest(called, (name for name in names if name != document.name))
                place = node.entries["run"][1]
                _refuse(document, place.line, f"there is no flow {called}{hints.get(called, '')}", place.column)
            elif target.plan is not None and target.plan.inputs is not None:
                given = node.get("with")
                plain: Any = given.plain() if given is not None else {}
                if "${{" not in str(plain):
                    for problem in target.plan.inputs.problems(plain):
                        _refuse(document, node.line, f"the inputs of {called}: {problem}", node.column)
    calls = {d.plan.flow: d.plan.calls for d in pool if d.plan is not None and d.plan.calls}
    circular = _circular(calls)
    for document in pool:
        if document.plan is not None and document.plan.flow in circular:
            circle = _circle(calls, document.plan.flow)
            if circle:
                _refuse(document, document.line, f"sub-flows call each other in a circle: {' → '.join(circle)}")


def _circular(calls: dict[str, tuple[str, ...]]) -> set[str]:
    """The flows that are left when those that call nothing (any longer) are taken away, again and again: each calls
    itself by some way, or calls one that does."""
    callers: dict[str, list[str]] = {}
    waits = {}
    for flow, called in calls.items():
        inside = {name for name in called if name in calls}
        waits[flow] = len(inside)
        for name in inside:
            callers.setdefault(name, []).append(flow)
    free = [flow for flow, count in waits.items() if not count]
    while free:
        for caller in callers.get(free.pop(), ()):
            waits[caller] -= 1
            if not waits[caller]:
                free.append(caller)
    return {flow for flow, count in waits.items() if count}


def _circle(calls: dict[str, tuple[str, ...]], start: str) -> list[str] | None:
    stack: list[list[str]] = [[start]]
    seen: set[str] = set()
    while stack:
        path = stack.pop()
        for called in calls.get(path[-1], ()):
            if called == start:
                return [*path, start]
            if called not in seen:
                seen.add(called)
                stack.append([*path, called])
    return None


def _emit_loops(pool: list[Document]) -> None:
    for document in pool:
        if document.plan is None:
            continue
        for trigger in document.plan.triggers:
            pattern = trigger.pattern
            if pattern is not None and any(type_matches(pattern, type) for type in document.uses.emits):
                _refuse(
                    document,
                    trigger.line,
                    "this flow emits what starts it; a chain of more than 10 events is cut off (verdict depth)",
                    severity="warning",
                )
