"""The entries of `when`."""

from __future__ import annotations

from typing import Any, Protocol, cast

import msgspec

from flows import habits
from flows.context import Reading
from flows.nodes import Node
from flows.options import check_options
from flows.problems import suggest
from flows.report import Report, describe
from flows.value_schema import ValueSchema, read_value_schema, value_schema
from flows.visible import ROOTS, TURN_NAMES, FlowNames, Visible, is_name, no_secret
from reactor.contracts import plan
from reactor.contracts.kinds import AnyTrigger
from reactor.kit.words import explain

LATER_KINDS = (
    "all_of", "none_of", "holds",
)  # fmt: skip
ENTRY_KEYS = ("id", "accepts")


def read_triggers(reading: Reading, node: Node | None) -> tuple[plan.Trigger, ...]:
    if node is None:
        return ()
    entries = node.items if node.kind == "list" else [node]
    found = [read_trigger(reading, entry) for entry in entries]
    return tuple(trigger for trigger in found if trigger is not None)


class _Connected(Protocol):
    """Options of a kind with `connection_kinds`."""

    connection: str


def read_trigger(reading: Reading, node: Node) -> plan.Trigger | None:
    kinds = reading.kinds.triggers
    if node.kind == "scalar" and isinstance(node.value, str):
        options_node: Node | None = Node("map", node.line, node.column)
        kind, kind_node = node.value, node
    elif node.kind == "map":
        words = [key for key in node.entries if key not in (*ENTRY_KEYS, "where")]
        if len(words) != 1:
            named = f"; here are {' and '.join(words)}" if words else ""
            reading.report.problem(node, f"a trigger names exactly one kind{named}")
            return None
        kind = words[0]
        kind_node, options_node = node.entries[kind]
    else:
        reading.report.problem(node, f"a trigger is a kind with options, not {describe(node)}")
        return None
    if kind not in kinds.names():
        if kind in LATER_KINDS:
            reading.report.problem(kind_node, f"the trigger `{kind}` is not in this version of Reactor")
        else:
            word = habits.habit(habits.TRIGGERS, kind)
            hint = f"; {word}" if word else suggest(kind, kinds.names()) or f"; there are {', '.join(kinds.names())}"
            reading.report.problem(kind_node, f"there is no trigger {kind}{hint}")
        return None
    cls = kinds.get(kind)
    if node.kind == "map" and "where" in node.entries:
        reading.report.problem(node.entries["where"][0], "`where` belongs to the options of an `event` trigger")
    options = _options(reading.report, cls, kind, kind_node, options_node)
    reading.uses.connection(reading.report, cls, options_node, kind)
    if options is None:
        return None
    id_node = node.get("id") if node.kind == "map" else None
    id = reading.report.text(id_node, "id") if id_node is not None else None
    if id is not None and id_node is not None:
        if not is_name(reading.report, id_node, id, "the id"):
            id = None
        elif id in (*ROOTS, *TURN_NAMES, "error", "branches", "secrets", "remembered"):
            reading.report.problem(id_node, f"the id {id} is a name that expressions already have")
            id = None
    accepts: ValueSchema | None = None
    accepts_node = node.get("accepts") if node.kind == "map" else None
    if accepts_node is not None:
        accepts = read_value_schema(reading.report, reading.files, reading.kinds.make_validator, accepts_node)
        _note(reading.names, accepts)
    for field, secret in cls.secrets(options):
        reading.uses.secrets.add(secret)
        exists = reading.kinds.secret_exists
        if exists is not None and not exists(secret):
            place = options_node.get(field) if options_node is not None else None
            reading.report.problem(place or kind_node, no_secret(secret))
    where: tuple[Any, ...] = ()
    where_node = options_node.get("where") if options_node is not None and options_node.kind == "map" else None
    if where_node is not None:
        where = reading.computed.clauses(where_node, Visible(), "where")
    inputs = cls.inputs(options)
    if inputs is not None:
        at = options_node.get("inputs") if options_node is not None else None
        accepts = value_schema(reading.report, reading.kinds.make_validator, at or kind_node, inputs)
        _note(reading.names, accepts)
    return plan.Trigger(
        kind=kind,
        name=id or kind,
        options=options,
        source=cls.source(options, reading.files.work),
        id=id,
        where=where,
        accepts=accepts.validator if accepts is not None else None,
        line=node.line,
        connection=cast("_Connected", options).connection if cls.connection_kinds else None,
        pattern=cls.pattern(options),
        sender=cls.sender(options),
        passive=cls.passive,
        answers_sender=cls.answers_sender,
        takes_messages=cls.takes_messages,
        retires=cls.retires,
        one_reader=cls.one_reader,
    )


def _note(names: FlowNames, schema: ValueSchema | None) -> None:
    if schema is not None and isinstance(schema.data, dict):
        names.event_schema = schema.data


def _options(
    report: Report, cls: type[AnyTrigger], kind: str, kind_node: Node, node: Node | None
) -> msgspec.Struct | None:
    if node is None or (node.kind == "scalar" and node.value is None):
        node = Node("map", kind_node.line, kind_node.column)
    if node.kind == "scalar" and isinstance(node.value, (str, int, float)) and not isinstance(node.value, bool):
        try:
            plain = cls.shorthand(str(node.value))
        except ValueError as error:
            report.problem(node, f"{kind}: {error}")
            return None
    elif node.kind == "map":
        if not check_options(report, cls.Options, node, f"the trigger {kind}"):
            return None
        plain = node.plain()
    else:
        report.problem(node, f"the trigger {kind} takes options or its short form, not {describe(node)}")
        return None
    try:
        options = msgspec.convert(plain, cls.Options)
    except msgspec.ValidationError as error:
        report.problem(node, f"{kind}: {explain(error, cls.Options)}")
        return None
    problems = cls.problems(options)
    for field, message in problems:
        report.problem(node.get(field) or node if node.kind == "map" else node, f"{kind}: {message}")
    return None if problems else options
