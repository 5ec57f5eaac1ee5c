"""The files in `connections/`: name, kind and settings of each connection, checked like flows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from flows.computed import Computed
from flows.context import Kinds
from flows.definitions import definition_documents
from flows.nodes import Node
from flows.options import check_options
from flows.problems import Problem, suggest
from flows.report import Report
from flows.uses import Uses
from flows.visible import FlowNames, Visible
from reactor.contracts.kinds import AnyConnection
from reactor.contracts.plan import Template
from reactor.contracts.registry import Registry
from reactor.kit.words import explain

FOLDER = "connections"
KEYS = ("connection", "kind", "description", "settings")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
MAX_LEVELS = 8


@dataclass
class Connection:
    """One connection of a file; `settings` is None when it is not good."""

    file: str
    name: str
    kind: str
    settings: Template | None
    problems: list[Problem] = field(default_factory=list)
    line: int = 1
    source: str = ""
    secrets: tuple[str, ...] = ()


def load_connections(path: Path, kinds: Kinds) -> list[Connection]:
    """All connections of a file; an unreadable one has a problem."""
    documents, problems = definition_documents(path, "connection", "`kind` and `settings`")
    if problems:
        return [Connection(str(path), "", "", None, problems)]
    return [_read(document, path, kinds, len(documents) == 1) for document in documents]


def _read(node: Node, path: Path, kinds: Kinds, alone: bool) -> Connection:
    report, uses = Report(str(path)), Uses()
    computed = Computed(report, FlowNames(), uses, kinds.secret_exists)
    made = Connection(str(path), "", "", None, report.problems, node.line)
    if not report.expect(node, "map", "a connection"):
        return made
    report.unknown(node, KEYS, "a connection")
    name_node = node.get("connection")
    made.name = (report.text(name_node, "connection") or "") if name_node is not None else path.stem if alone else ""
    if name_node is None and not alone:
        report.problem(node, "several connections in one file each need their name: `connection:`")
    elif not NAME.fullmatch(made.name):
        report.problem(name_node or node, f"the name {made.name!r} is not made of a-z, 0-9 and -")
    kind_node = node.get("kind")
    kind = report.text(kind_node, "kind") if kind_node is not None else None
    names = kinds.connections.names()
    if kind_node is None:
        report.problem(node, f"a connection has a `kind`: {', '.join(names)}")
    elif kind is not None and kind not in names:
        report.problem(kind_node, f"there is no kind of connection {kind}{suggest(kind, names)}")
    elif kind is not None:
        made.kind = kind
        settings = node.get("settings") or Node("map", node.line, node.column)
        template = _settings(computed, kinds.connections.get(kind), settings, kind)
        if not report.problems:
            made.settings = template
            made.source = msgspec.json.encode([kind, settings.plain()], order="deterministic").decode()
            made.secrets = tuple(sorted(uses.secrets))
    return made


def _settings(computed: Computed, cls: type[AnyConnection], node: Node, kind: str) -> Template | None:
    report = computed.report
    check_options(report, cls.Options, node, f"the connection {kind}", templates=True)
    template = computed.template(node, Visible(names=frozenset({"env"}), secrets=True))
    for read in sorted(template.reads):
        if read[0] not in ("secrets", "env"):
            report.problem(node, f"a connection may read secrets and env, not {read[0]}")
    if not report.problems and not template.reads:
        try:
            options = msgspec.convert(node.plain(), cls.Options, strict=False)
        except msgspec.ValidationError as error:
            report.problem(node, f"{kind}: {explain(error, cls.Options)}")
            return None
        for name, message in cls.problems(options):
            report.problem(node.get(name) or node, f"{kind}: {message}")
    return template


def by_name(connections: Iterable[Connection]) -> dict[str, Connection]:
    """Good and bad ones by name; the later of two with one name gets a problem."""
    named: dict[str, Connection] = {}
    for one in connections:
        first = named.get(one.name)
        if not one.name:
            continue
        if first is None:
            named[one.name] = one
        else:
            message = f"the connection {one.name} is already in {first.file}"
            if not any(problem.message == message for problem in one.problems):
                one.problems.append(Problem(one.file, one.line, 1, message))
            one.settings = None
    return named


def use_problem(
    value: str, wanted: Sequence[str], named: Mapping[str, Connection], kinds: Registry[AnyConnection]
) -> str | None:
    """Why a `connection:` of a flow does not name one of the kinds that are wanted; None when it does."""
    if "://" in value:
        scheme = value.partition("://")[0]
        schemes = {s for kind in wanted for s in kinds.get(kind).schemes}
        if scheme in schemes:
            return None
        known = f"one of {', '.join(sorted(schemes))}" if schemes else "the name of a connection"
        return f"{scheme}:// is no URL for this; it takes {known}"
    found = named.get(value)
    if found is None:
        return f"there is no connection {value}{suggest(value, named)}; write it as connections/{value}.yaml"
    if found.kind and found.kind not in wanted:
        return f"the connection {value} is of the kind {found.kind}, not {' or '.join(wanted)}"
    if found.settings is None:
        return f"the connection {value} has errors; see {found.file}"
    return None
