"""The JSON Schemas that flows and collections give for values: `accepts`, `inputs`, `schema`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from flows.beside import FilesBeside
from flows.nodes import Node
from flows.report import Report
from reactor.contracts.plan import Validator

MakeValidator = Callable[[Any], Validator]
"""Compiles a JSON Schema. Raises ValueError."""


class ValueSchema(NamedTuple):
    validator: Validator
    data: Any
    """The schema itself."""


def read_value_schema(report: Report, files: FilesBeside, make: MakeValidator | None, node: Node) -> ValueSchema | None:
    """A schema by file name or in place; None when it is none, which is reported, and where nothing makes
    validators."""
    if node.kind == "map":
        return value_schema(report, make, node, node.plain())
    name = report.text(node, "accepts")
    text = files.read(report, node, name) if name is not None else None
    if text is None:
        return None
    try:
        schema = msgspec.json.decode(text) if name and name.endswith(".json") else msgspec.yaml.decode(text)
    except (msgspec.DecodeError, ValueError) as error:
        report.problem(node, f"{name} is no JSON: {error}")
        return None
    return value_schema(report, make, node, schema)


def value_schema(report: Report, make: MakeValidator | None, node: Node, schema: Any) -> ValueSchema | None:
    """The same for a schema that was read."""
    if make is None:
        return None
    try:
        return ValueSchema(make(schema), schema)
    except ValueError as error:
        report.problem(node, f"this is no JSON Schema: {error}")
        return None
