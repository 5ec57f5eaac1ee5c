"""What reading one flow needs: where problems go, which kinds exist, what is visible at a place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from flows.expressions import Compiled, ExpressionSyntax, compile_expression
from flows.expressions.source import hyphen_hint
from flows.expressions.template import Rendered, compile_template
from flows.habits import habit, plain_braces
from flows.nodes import Node
from flows.problems import Problem, suggest
from reactor.contracts.kinds import AnyAction, AnyConnection
from reactor.contracts.registry import OpenRegistry, Registry
from reactor.kit.durations import DurationError, parse_duration

ROOTS = ("event", "trigger", "steps", "vars", "inputs", "run", "env", "events")
LATER_ROOTS = {"remembered": "remember"}


@dataclass(frozen=True)
class Kinds:
    """What the daemon brings: action and trigger kinds by name, allowed words, secrets."""

    actions: OpenRegistry[AnyAction]
    triggers: Any
    connections: Registry[AnyConnection]
    allow: frozenset[str] = frozenset()
    secret_exists: Callable[[str], bool] | None = None
    environment: frozenset[str] | None = None
    schema: Callable[[Any], Any] | None = None
    """Compiles a JSON Schema to a Validator; raises ValueError."""
    file_root: str | None = None


class Literal:
    """A logic key that holds plain data instead of an expression."""

    lookup: tuple[tuple[str, ...], Any] | None = None
    reads: frozenset[tuple[str, ...]] = frozenset()

    def __init__(self, value: Any, line: int) -> None:
        self.value = value
        self.line = line
        self.source = msgspec.json.encode(value).decode()

    def evaluate(self, names: Any) -> Any:
        return self.value

    def values(self, names: Any) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Visible:
    """What expressions may name at a place of the flow."""

    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    secrets: bool = False
    anywhere: bool = False
    """In `on_error` and `finally`: every step may have run, none is certain."""

    def plus(self, *names: str) -> Visible:
        return replace(self, names=self.names | set(names))


@dataclass
class Reading:
    """The state of reading one document."""

    file: str
    folder: str
    kinds: Kinds
    problems: list[Problem] = field(default_factory=list)
    all_ids: dict[str, Node] = field(default_factory=dict)
    loop_ids: set[str] = field(default_factory=set)
    var_names: set[str] = field(default_factory=set)
    taken: dict[str, Node] = field(default_factory=dict)
    results: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    environment: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    calls: list[tuple[str, Node]] = field(default_factory=list)
    emits: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    connections: list[tuple[str, tuple[str, ...], Node]] = field(default_factory=list)
    collections: list[tuple[str, Node]] = field(default_factory=list)
    """Names (or URLs) that `connection:` options give, the kinds that fit, the place."""
    files: dict[str, str] = field(default_factory=dict)
    schema_fields: dict[str, Any] | None = None
    trigger_ids: frozenset[str] = frozenset()
    outer_writes: set[str] = field(default_factory=set)
    turn_locals: bool = False
    responds: bool = False
    work: str = ""

    def problem(self, node: Node, message: str, severity: str = "error", offset: int | None = None) -> None:
        line, column = (node.line, node.column) if offset is None else node.place(offset)
        self.problems.append(Problem(self.file, line, column, message, severity))

    def unknown(
        self,
        node: Node,
        known: Iterable[str],
        what: str,
        later: dict[str, str] | None = None,
        habits: dict[str, str] | None = None,
    ) -> None:
        """Reports the keys of a map that are not known; `later` are words that this version does not have, `habits`
        those of other tools."""
        names = list(known)
        for key, (key_node, _) in node.entries.items():
            if key in names:
                continue
            if later and key in later:
                self.problem(key_node, f"`{key}` {later[key]}")
            else:
                word = habit(habits or {}, key)
                hint = f"; {word}" if word else suggest(key, names)
                self.problem(key_node, f"{what} has no key {key}{hint}")

    def expect(self, node: Node | None, kind: str, what: str) -> bool:
        """Whether a node is a map or list; reports it when it is something else."""
        if node is None:
            return False
        if node.kind != kind:
            self.problem(node, f"{what} is a {kind}, not {describe(node)}")
            return False
        return True

    def text(self, node: Node | None, what: str) -> str | None:
        if node is None:
            return None
        if node.kind != "scalar" or not isinstance(node.value, str) or not node.value:
            self.problem(node, f"{what} is a text, not {describe(node)}")
            return None
        return node.value

    def whole(self, node: Node | None, what: str, least: int, most: int, default: int) -> int:
        if node is None:
            return default
        value = node.value if node.kind == "scalar" else None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problem(node, f"{what} is a whole number from {least:,} to {most:,}, not {describe(node)}")
            return default
        return value

    def choice(self, node: Node | None, what: str, words: tuple[str, ...], default: str) -> str:
        if node is None:
            return default
        if node.kind != "scalar" or node.value not in words:
            self.problem(node, f"{what} is one of {', '.join(words)}, not {describe(node)}{suggest(node.value, words)}")
            return default
        return str(node.value)

    def duration(self, node: Node | None, what: str) -> float | None:
        """A duration in seconds; a bare number is seconds."""
        if node is None:
            return None
        if node.kind == "scalar" and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            if node.value >= 0:
                return float(node.value)
        elif node.kind == "scalar" and isinstance(node.value, str):
            try:
                return parse_duration(node.value)
            except DurationError as error:
                self.problem(node, f"{what}: {error}")
                return None
        self.problem(node, f"{what} is a duration such as 10s, not {describe(node)}")
        return None

    def expression(self, node: Node, visible: Visible, what: str) -> Any:
        """A logic key: a bare expression, `${{ x }}` around the whole, or plain data."""
        if node.kind == "scalar" and node.value is None:
            self.problem(node, f"{what} is empty; write an expression")
            return None
        if node.kind != "scalar" or not isinstance(node.value, str):
            if "${{" in msgspec.json.encode(node.plain()).decode():
                return _Templated(self.template(node, visible), node)
            return Literal(node.plain(), node.line)
        source, offset = node.value, 0
        stripped = source.strip()
        if stripped.startswith("${{") and stripped.endswith("}}") and stripped.count("${{") == 1:
            offset = source.index("${{") + 3
            source = source[offset : source.rindex("}}")]
        elif stripped.startswith("{{") and stripped.endswith("}}"):
            inner = stripped[2:-2].strip()
            self.problem(node, f"{what} is an expression itself; write {inner} without {{{{ }}}}")
            return None
        elif "${{" in source:
            self.problem(node, f"{what} is an expression itself; leave out ${{{{ }}}}")
            return None
        return self.compile(source, node, offset, visible)

    def clauses(self, node: Node | None, visible: Visible, what: str) -> tuple[Any, ...]:
        """One expression or a list of them."""
        if node is None:
            return ()
        parts = node.items if node.kind == "list" else [node]
        compiled = [self.expression(part, visible, what) for part in parts]
        return tuple(clause for clause in compiled if clause is not None)

    def connection(self, kind: Any, node: Node | None, what: str) -> None:
        """Notes the `connection` option of a kind that takes one; whether it exists shows when all files are read."""
        wanted: tuple[str, ...] = kind.connection_kinds
        given = node.get("connection") if wanted and node is not None and node.kind == "map" else None
        if wanted and given is None and node is not None:
            usual = next((f.default for f in msgspec.structs.fields(kind.Options) if f.name == "connection"), None)
            if isinstance(usual, str):
                self.connections.append((usual, wanted, Node("scalar", node.line, node.column)))
        if given is None or not isinstance(given.value, str):
            return
        if "${{" in given.value:
            self.problem(given, f"{what}: connection is a name, written out: what an event says never chooses it")
        else:
            self.connections.append((given.value, wanted, given))

    def collection(self, action: type[AnyAction], node: Node) -> None:
        """Notes the `collection` option of an action that takes one; whether it exists shows later."""
        given = node.get("collection") if action.uses_collection and node.kind == "map" else None
        if given is not None and isinstance(given.value, str) and "${{" not in given.value:
            self.collections.append((given.value, given))

    def template(self, node: Node, visible: Visible) -> Rendered:
        """A data value with `${{ }}` anywhere inside."""

        def part(source: str, path: tuple[Any, ...], column: int) -> Any:
            return self.compile(source, node.at(path), column, visible)

        for scalar in scalars(node):
            found = plain_braces(scalar)
            if found is not None:
                text = f"{{{{ {found[0]} }}}} is plain text here; an expression is written ${{{{ {found[0]} }}}}"
                self.problem(scalar, text, "warning", found[1])
        try:
            return compile_template(node.plain(), part)
        except ValueError:
            self._unclosed(node)
            return Rendered(lambda names: None, [])

    def _unclosed(self, node: Node) -> None:
        for scalar in scalars(node):
            if isinstance(scalar.value, str) and "${{" in scalar.value:
                try:
                    compile_template(scalar.value, lambda *_: None)
                except ValueError as error:
                    self.problem(
                        scalar,
                        "${{ is never closed by }} (a blank and # begin a comment in YAML: quote the whole value)",
                        offset=int(error.args[0]),
                    )

    def compile(self, source: str, node: Node, offset: int, visible: Visible) -> Compiled | None:
        try:
            compiled = compile_expression(source, node.line, self.file)
        except ExpressionSyntax as error:
            caret = f"\n    {source.strip()}" if "\n" not in source.strip() else ""
            self.problem(node, f"{error}{caret}", offset=offset + error.column)
            return None
        from flows.names import check_reads

        check_reads(self, compiled, node, offset, visible)
        return compiled


class _Templated:
    """Data with expressions inside, in the place of a bare expression (`foreach: ["${{ vars.a }}", b]`)."""

    lookup = None

    def __init__(self, template: Rendered, node: Node) -> None:
        self.template = template
        self.line = node.line
        self.source = msgspec.json.encode(node.plain()).decode()
        self.reads = template.reads

    def evaluate(self, names: Any) -> Any:
        return self.template.render(names)


def scalars(node: Node) -> Iterable[Node]:
    if node.kind == "map":
        for _, value in node.entries.values():
            yield from scalars(value)
    elif node.kind == "list":
        for item in node.items:
            yield from scalars(item)
    else:
        yield node


def describe(node: Node) -> str:
    """A node as messages name it."""
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "nothing"
    text = msgspec.json.encode(node.value).decode()
    return text if len(text) <= 60 else text[:59] + "…"


def read_file(reading: Reading, node: Node, name: str) -> str | None:
    """A file that the flow names, relative to its folder; its text belongs to the flow's version."""
    if name.startswith(("/", "\\")) or ".." in Path(name).parts:
        reading.problem(node, f"{name} must stand under the flow's folder")
        return None
    if name in reading.files:
        return reading.files[name]
    try:
        text = (Path(reading.folder) / name).read_text("utf-8")
    except OSError as error:
        reading.problem(node, f"{name} cannot be read: {error.strerror or error}")
        return None
    except UnicodeDecodeError:
        reading.problem(node, f"{name} is not UTF-8 text")
        return None
    reading.files[name] = text
    return text


__all__ = ["Kinds", "Literal", "Reading", "Visible", "describe", "hyphen_hint", "read_file", "scalars"]
