"""The entries of `when`."""

from __future__ import annotations

from typing import Any

import msgspec

from flows import habits
from flows.context import Reading, Visible, describe, read_file
from flows.names import no_secret
from flows.nodes import Node
from flows.options import check_options
from flows.problems import suggest
from flows.steps import valid_name
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


def trigger_ids(node: Node | None) -> frozenset[str]:
    """The ids of all triggers, which are names in expressions."""
    entries = node.items if node is not None and node.kind == "list" else [node] if node is not None else []
    ids = [entry.get("id") for entry in entries if entry is not None and entry.kind == "map"]
    return frozenset(str(id.value) for id in ids if id is not None and isinstance(id.value, str))


def read_trigger(reading: Reading, node: Node) -> plan.Trigger | None:
    kinds = reading.kinds.triggers
    if node.kind == "scalar" and isinstance(node.value, str):
        options_node: Node | None = Node("map", node.line, node.column)
        kind, kind_node = node.value, node
    elif node.kind == "map":
        words = [key for key in node.entries if key not in (*ENTRY_KEYS, "where")]
        if len(words) != 1:
            named = f"; here are {' and '.join(words)}" if words else ""
            reading.problem(node, f"a trigger names exactly one kind{named}")
            return None
        kind = words[0]
        kind_node, options_node = node.entries[kind]
    else:
        reading.problem(node, f"a trigger is a kind with options, not {describe(node)}")
        return None
    if kind not in kinds.names():
        if kind in LATER_KINDS:
            reading.problem(kind_node, f"the trigger `{kind}` is not in this version of Reactor")
        else:
            word = habits.habit(habits.TRIGGERS, kind)
            hint = f"; {word}" if word else suggest(kind, kinds.names()) or f"; there are {', '.join(kinds.names())}"
            reading.problem(kind_node, f"there is no trigger {kind}{hint}")
        return None
    cls = kinds.get(kind)
    if node.kind == "map" and "where" in node.entries:
        reading.problem(node.entries["where"][0], "`where` belongs to the options of an `event` trigger")
    options = _options(reading, cls, kind, kind_node, options_node)
    reading.connection(cls, options_node, kind)
    if options is None:
        return None
    id_node = node.get("id") if node.kind == "map" else None
    id = reading.text(id_node, "id") if id_node is not None else None
    if id is not None and id_node is not None:
        from flows.context import ROOTS

        if not valid_name(reading, id_node, id, "the id"):
            id = None
        elif id in (*ROOTS, "error", "item", "index", "key", "branches", "secrets", "remembered"):
            reading.problem(id_node, f"the id {id} is a name that expressions already have")
            id = None
    accepts = None
    accepts_node = node.get("accepts") if node.kind == "map" else None
    if accepts_node is not None:
        accepts = read_schema(reading, accepts_node)
    for field, secret in cls.secrets(options):
        reading.secrets.add(secret)
        exists = reading.kinds.secret_exists
        if exists is not None and not exists(secret):
            place = options_node.get(field) if options_node is not None else None
            reading.problem(place or kind_node, no_secret(secret))
    where: tuple[Any, ...] = ()
    where_node = options_node.get("where") if options_node is not None and options_node.kind == "map" else None
    if where_node is not None:
        where = reading.clauses(where_node, Visible(), "where")
    inputs = cls.inputs(options)
    if inputs is not None:
        at = options_node.get("inputs") if options_node is not None else None
        accepts = compile_schema(reading, at or kind_node, inputs)
    return plan.Trigger(
        kind=kind,
        name=id or kind,
        options=options,
        source=cls.source(options, reading.work),
        id=id,
        where=where,
        accepts=accepts,
        line=node.line,
        pattern=cls.pattern(options),
        sender=cls.sender(options),
        passive=cls.passive,
        answers_sender=cls.answers_sender,
        takes_messages=cls.takes_messages,
        retires=cls.retires,
    )


def _options(
    reading: Reading, cls: type[AnyTrigger], kind: str, kind_node: Node, node: Node | None
) -> msgspec.Struct | None:
    if node is None or (node.kind == "scalar" and node.value is None):
        node = Node("map", kind_node.line, kind_node.column)
    if node.kind == "scalar" and isinstance(node.value, (str, int, float)) and not isinstance(node.value, bool):
        try:
            plain = cls.shorthand(str(node.value))
        except ValueError as error:
            reading.problem(node, f"{kind}: {error}")
            return None
    elif node.kind == "map":
        if not check_options(reading, cls.Options, node, f"the trigger {kind}"):
            return None
        plain = node.plain()
    else:
        reading.problem(node, f"the trigger {kind} takes options or its short form, not {describe(node)}")
        return None
    try:
        options = msgspec.convert(plain, cls.Options)
    except msgspec.ValidationError as error:
        reading.problem(node, f"{kind}: {explain(error, cls.Options)}")
        return None
    problems = cls.problems(options)
    for field, message in problems:
        reading.problem(node.get(field) or node if node.kind == "map" else node, f"{kind}: {message}")
    return None if problems else options


def read_schema(reading: Reading, node: Node) -> plan.Validator | None:
    """A JSON Schema, by file name or in place."""
    if node.kind == "map":
        schema = node.plain()
    else:
        name = reading.text(node, "accepts")
        text = read_file(reading, node, name) if name is not None else None
        if text is None:
            return None
        try:
            schema = msgspec.json.decode(text) if name and name.endswith(".json") else msgspec.yaml.decode(text)
        except (msgspec.DecodeError, ValueError) as error:
            reading.problem(node, f"{name} is no JSON: {error}")
            return None
    return compile_schema(reading, node, schema)


def compile_schema(reading: Reading, node: Node, schema: Any) -> plan.Validator | None:
    if reading.kinds.schema is None:
        return None
    try:
        validator: plan.Validator = reading.kinds.schema(schema)
    except ValueError as error:
        reading.problem(node, f"this is no JSON Schema: {error}")
        return None
    if isinstance(schema, dict):
        reading.schema_fields = schema
    return validator
