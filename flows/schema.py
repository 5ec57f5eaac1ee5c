"""JSON Schema of the flow language, for editors; made from the same tables that the loader reads."""

from __future__ import annotations

from typing import Any

import msgspec

from flows.steps import READERS
from flows.verbs import EXPRESSION, STEPS

_CLAUSES: dict[str, Any] = {"anyOf": [EXPRESSION, {"type": "array", "items": EXPRESSION}]}
_DURATION: dict[str, Any] = {
    "type": ["string", "number"],
    "description": "a duration such as 10s, 1h30m, PT5M",
}
_TEMPLATE: dict[str, Any] = {"type": "string", "pattern": r"\$\{\{"}


def _options(cls: Any, definitions: dict[str, Any], templates: bool) -> dict[str, Any]:
    """The schema of an Options struct; with `templates`, an expression may stand for any value."""
    (schema,), found = msgspec.json.schema_components([cls.Options], ref_template="#/$defs/{name}")
    own = found.pop(cls.Options.__name__, schema)
    for name, other in found.items():
        definitions.setdefault(name, other)
    if templates and "properties" in own:
        own = {**own, "properties": {k: {"anyOf": [v, _TEMPLATE]} for k, v in own["properties"].items()}}
    return {**own, "description": cls.summary}


def flow_schema(actions: Any, triggers: Any) -> dict[str, Any]:
    """JSON Schema 2020-12 of one flow document."""
    definitions: dict[str, Any] = {}
    common: dict[str, Any] = {
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "name": {"type": "string"},
        "only_if": _CLAUSES,
        "unless": _CLAUSES,
        "timeout": _DURATION,
        "on_timeout": {},
        "retry": {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {
                    "type": "object",
                    "properties": {
                        "times": {"type": "integer", "minimum": 0},
                        "wait": _DURATION,
                        "if": EXPRESSION,
                        "then": {"enum": ["fail", "pause"]},
                    },
                    "required": ["times"],
                    "additionalProperties": False,
                },
            ]
        },
        "on_error": {"type": "array", "items": {"type": "object"}},
        "repeat": {"enum": ["safe", "keyed", "never"]},
    }
    verbs = [
        {
            "type": "object",
            "properties": {**common, **reader.SCHEMA},
            "required": [verb],
            "additionalProperties": False,
        }
        for verb, reader in READERS.items()
    ]
    calls = [
        {
            "if": {"properties": {"call": {"const": name}}, "required": ["call"]},
            "then": {"properties": {"with": _options(actions.get(name), definitions, True)}},
        }
        for name in actions.names()
    ]
    definitions["steps"] = {"type": "array", "items": {"$ref": "#/$defs/step"}}
    definitions["step"] = {"oneOf": verbs, "allOf": calls}
    kinds = []
    for name in triggers.names():
        options = _options(triggers.get(name), definitions, False)
        entry = {name: {"anyOf": [{"type": ["string", "number", "null"]}, options]}}
        extra = {"id": {"type": "string"}, "accepts": {"type": ["string", "object"]}}
        kinds.append(
            {
                "type": "object",
                "properties": {**entry, **extra},
                "required": [name],
                "additionalProperties": False,
            }
        )
    trigger = {"anyOf": [{"enum": triggers.names()}, *kinds]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Reactor flow",
        "type": "object",
        "required": ["do"],
        "additionalProperties": False,
        "properties": {
            "flow": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"},
            "language": {"const": 1},
            "description": {"type": "string"},
            "labels": {"type": "object"},
            "enabled": {"type": "boolean"},
            "when": {"anyOf": [trigger, {"type": "array", "items": trigger}]},
            "dedupe": {
                "type": "object",
                "properties": {"key": EXPRESSION, "for": _DURATION, "reuse": {"enum": ["any", "success"]}},
                "required": ["key"],
                "additionalProperties": False,
            },
            "concurrency": {
                "type": "object",
                "properties": {
                    "key": EXPRESSION,
                    "limit": {"type": "integer", "minimum": 1},
                    "when_busy": {"enum": ["queue", "skip", "replace", "latest"]},
                    "waiting": {"type": "integer", "minimum": 0},
                },
                "additionalProperties": False,
            },
            "only_if": _CLAUSES,
            "unless": _CLAUSES,
            "vars": {"type": "object"},
            "timeout": _DURATION,
            "do": STEPS,
            "output": {},
            "on_error": STEPS,
            "finally": STEPS,
            "emit": {"type": "string"},
        },
        "$defs": definitions,
    }
