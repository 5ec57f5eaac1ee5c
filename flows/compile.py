"""One document to one plan, or to all its problems."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from flows import habits
from flows.beside import FilesBeside
from flows.blocks import read_block
from flows.computed import Computed
from flows.context import Kinds, Reading, reading_of
from flows.nodes import Node
from flows.report import Report
from flows.steps import read_step
from flows.survey import survey
from flows.triggers import read_triggers
from flows.uses import Uses
from flows.visible import VARIABLE, Visible
from reactor.contracts import plan
from reactor.contracts.event import RESERVED_PREFIX

LANGUAGE = 1
_NOT_HERE = "is not in this version of Reactor"
KEYS = (
    "flow", "description", "labels", "enabled", "language", "when", "dedupe", "concurrency", "only_if", "unless",
    "vars", "timeout", "do", "output", "on_error", "finally", "emit",
)  # fmt: skip
LATER = dict.fromkeys(
    (
        "throttle",
        "debounce",
        "batch",
        "remember",
        "priority",
        "pool",
        "keep",
        "all_of",
        "none_of",
        "holds",
        "undo",
    ),
    _NOT_HERE,
)
FLOW_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def default_name(file: str) -> str:
    """The file's stem; its folder's name when the stem is `flow`."""
    path = Path(file)
    return path.parent.name if path.stem == "flow" and path.parent.name else path.stem


def compile_flow(
    document: Node,
    file: str,
    folder: str,
    source: str,
    kinds: Kinds,
    alone: bool = True,
    work: str | None = None,
    context: dict[str, str] | None = None,
) -> tuple[plan.Plan | None, Reading]:
    """A plan, or None when there are errors; `reading.report.problems` has all that was found. `work` is where
    relative paths start when that is not `folder` (flows of a bundle); `context` the text of named files, for an old
    version."""
    reading = reading_of(file, FilesBeside(folder, work, context), kinds, read_step)
    if document.kind != "map":
        reading.report.problem(document, "a flow is a map with `when` and `do`")
        return None, reading
    reading.report.unknown(document, KEYS, "a flow", LATER, habits.FLOW)
    language = document.get("language")
    if language is not None and language.value != LANGUAGE:
        reading.report.problem(language, f"this version reads language {LANGUAGE}, not {language.value}")
    name = _name(reading.report, document, file, alone)
    survey(reading.names, document)
    triggers = read_triggers(reading, document.get("when"))
    if len(triggers) != 1:
        reading.names.event_schema = None
    top = Visible()
    only_if = reading.computed.clauses(document.get("only_if"), top, "only_if")
    unless = _unless(reading.computed, document.get("unless"), top)
    vars = _vars(reading.computed, document.get("vars"), top)
    do = document.get("do")
    if do is None and not any(habits.FLOW.get(key) == habits.FLOW["steps"] for key in document.entries):
        reading.report.problem(document, "a flow needs `do`, a list of steps")
    body, (certain, possible) = read_block(reading, do, top, "do")
    after = Visible(certain=certain, possible=possible)
    output_node = document.get("output")
    output = reading.computed.template(output_node, after) if output_node is not None else None
    loose = Visible(possible=certain | possible, anywhere=True, names=frozenset({"error"}))
    on_error = last = None
    if (handler := document.get("on_error")) is not None:
        on_error, _ = read_block(reading, handler, loose, "on_error")
    if (closing := document.get("finally")) is not None:
        last, _ = read_block(reading, closing, loose, "finally")
    emit = _emit(reading.report, reading.uses, document.get("emit"))
    enabled = document.get("enabled")
    if enabled is not None and not isinstance(enabled.value, bool):
        reading.report.problem(enabled, "enabled is true or false")
    description = document.get("description")
    inputs = next((t.accepts for t in triggers if kinds.triggers.get(t.kind).by_name and t.accepts is not None), None)
    compiled = plan.Plan(
        flow=name,
        version=version_of(document.plain(), reading.files.texts, name),
        source=source,
        file=file,
        folder=reading.files.work,
        triggers=triggers,
        do=body,
        description=(reading.report.text(description, "description") or "") if description is not None else "",
        labels=_labels(reading.report, document.get("labels")),
        enabled=enabled is None or enabled.value is True,
        only_if=only_if,
        unless=unless,
        dedupe=_dedupe(reading.computed, document.get("dedupe"), top),
        concurrency=_concurrency(reading.computed, document.get("concurrency"), top),
        vars=vars,
        timeout=reading.report.duration(document.get("timeout"), "timeout"),
        output=output,
        on_error=on_error if on_error is not None and on_error.steps else None,
        closing=last if last is not None and last.steps else None,
        emit=emit,
        inputs=inputs,
        environment=tuple(sorted(reading.uses.environment)),
        secrets=tuple(sorted(reading.uses.secrets)),
        calls=tuple(dict.fromkeys(called for called, _ in reading.uses.calls)),
        actions=tuple(dict.fromkeys(reading.uses.actions)),
        responds=reading.uses.responds,
    )
    _environment(reading, document)
    _warn(reading.report, document, compiled)
    return (None if reading.report.failed else compiled), reading


def version_of(data: Any, files: dict[str, str], name: str) -> str:
    """sha256 of what the flow says, so that a comment makes no new version."""
    content = {"language": LANGUAGE, "name": name, "flow": data, "files": files}
    return "sha256:" + hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _name(report: Report, document: Node, file: str, alone: bool) -> str:
    given = document.get("flow")
    if given is None:
        name = default_name(file)
        if not alone:
            report.problem(document, "several documents in a file each need `flow:`, a name")
        elif not FLOW_NAME.fullmatch(name):
            report.problem(document, f"the file name gives no flow name ({name!r}); write `flow:` with [a-z0-9-]")
        return name
    named = report.text(given, "flow")
    if named is not None and (not FLOW_NAME.fullmatch(named) or len(named) > 100):
        report.problem(given, f"a flow is named with [a-z0-9-], up to 100 of them, not {named!r}")
    return named or default_name(file)


def _unless(computed: Computed, node: Node | None, visible: Visible) -> tuple[plan.Expression, ...]:
    report = computed.report
    if node is None:
        return ()
    clauses = []
    for item in node.items if node.kind == "list" else [node]:
        if item.kind == "map" and "event" in item.entries:
            report.problem(item, f"`unless` with an event (a watch) {_NOT_HERE}; a guard is an expression")
        else:
            clauses.append(computed.expression(item, visible, "unless"))
    return tuple(clause for clause in clauses if clause is not None)


def _vars(computed: Computed, node: Node | None, visible: Visible) -> tuple[tuple[str, plan.Template], ...]:
    report = computed.report
    if node is None or not report.expect(node, "map", "vars"):
        return ()
    for name, (key, _) in node.entries.items():
        if not VARIABLE.fullmatch(name):
            report.problem(key, f"{name!r} is no name; letters, digits and _ are")
    return tuple((name, computed.template(value, visible)) for name, (_, value) in node.entries.items())


def _labels(report: Report, node: Node | None) -> dict[str, str]:
    if node is None or not report.expect(node, "map", "labels"):
        return {}
    for _, value in node.entries.values():
        if value.kind != "scalar":
            report.problem(value, "a label is a single value")
    return {name: str(value.value) for name, (_, value) in node.entries.items()}


def _dedupe(computed: Computed, node: Node | None, visible: Visible) -> plan.Dedupe | None:
    report = computed.report
    if node is None or not report.expect(node, "map", "dedupe"):
        return None
    report.unknown(node, ("key", "for", "reuse"), "dedupe")
    key_node = node.get("key")
    if key_node is None:
        report.problem(node, "dedupe needs `key`, an expression")
        return None
    key = computed.expression(key_node, visible, "key")
    seconds = report.duration(node.get("for"), "for")
    reuse = report.choice(node.get("reuse"), "reuse", ("any", "success"), "any")
    return plan.Dedupe(key, 86400.0 if seconds is None else seconds, reuse) if key is not None else None


def _concurrency(computed: Computed, node: Node | None, visible: Visible) -> plan.Concurrency | None:
    report = computed.report
    if node is None or not report.expect(node, "map", "concurrency"):
        return None
    report.unknown(node, ("key", "limit", "when_busy", "waiting"), "concurrency")
    key_node = node.get("key")
    key = computed.expression(key_node, visible, "key") if key_node is not None else None
    limit = report.whole(node.get("limit"), "limit", 1, 1_000_000, 1)
    busy = report.choice(node.get("when_busy"), "when_busy", ("queue", "skip", "replace", "latest"), "queue")
    waiting = report.whole(node.get("waiting"), "waiting", 0, 10_000_000, 10_000)
    return plan.Concurrency(key, limit, busy, waiting)


def _emit(report: Report, uses: Uses, node: Node | None) -> str | None:
    if node is None:
        return None
    type = report.text(node, "emit")
    if type is not None and type.startswith(RESERVED_PREFIX):
        report.problem(node, f"types that begin with {RESERVED_PREFIX} are the daemon's own")
    if type is not None:
        uses.emits.append(type)
    return type


def _environment(reading: Reading, document: Node) -> None:
    allowed = reading.kinds.environment
    if allowed is None:
        return
    for name in sorted(reading.uses.environment - allowed):
        reading.report.problem(
            document,
            f"env.{name} is not given to flows; start the daemon with --env {name} (or REACTOR_ENV={name})",
        )


def _warn(report: Report, document: Node, compiled: plan.Plan) -> None:
    for trigger in compiled.triggers:
        if trigger.pattern in ("*", "**") and not trigger.where:
            report.problem(document.get("when") or document, "this trigger matches every event", "warning")
    if not compiled.do.steps and document.get("do") is not None:
        report.problem(document.get("do") or document, "`do` has no steps", "warning")
