"""JSON Schema of the flow language, for editors; made from the same tables that the loader reads."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from flows.options import fields
from flows.policies import COMMON
from flows.verbs import DURATION, EXPRESSION, SHORT_DURATION, STEPS, JsonSchema, Verb
from flows.verbs.table import VERBS
from reactor.contracts.kinds import AnyTrigger

_SIZE = r"\s*\d+(\.\d+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*"
_FIELD = r"[0-9A-Za-z*?][0-9A-Za-z*?/,#-]*"
_CRON = rf"^\s*({_FIELD}(\s+{_FIELD}){{4,5}}|@(yearly|annually|monthly|weekly|daily|midnight|hourly))\s*$"
_DURATION_TEXT: JsonSchema = {
    "type": "string", "pattern": f"^{DURATION}$", "description": "a duration such as 10s, 1h30m, PT5M",
}  # fmt: skip
_SIZE_TEXT: JsonSchema = {
    "type": "string",
    "pattern": f"^{_SIZE}$|^[0-9]+$",
    "description": "a size such as 64KiB, 10MB",
}
_DURATION: JsonSchema = {
    "anyOf": [_DURATION_TEXT, {"type": "number", "minimum": 0}],
    "description": "a duration such as 10s, 1h30m, PT5M; a number is seconds",
}
_RANGE: JsonSchema = {"type": "string", "pattern": rf"^{DURATION}\.\.{DURATION}$"}
_CLAUSES: JsonSchema = {"anyOf": [EXPRESSION, {"type": "array", "items": EXPRESSION}]}
_TEMPLATE: JsonSchema = {"type": "string", "pattern": r"\$\{\{"}
_STEP: JsonSchema = {"$ref": "#/$defs/step"}
_SPECIAL: dict[tuple[str, str], JsonSchema] = {
    ("cron", "at"): {"type": "string", "pattern": _CRON, "description": "five fields, or six with the seconds first"},
    ("every", "period"): _DURATION_TEXT,
    ("mqtt", "qos"): {"enum": [0, 1, 2]},
    ("mqtt.publish", "qos"): {"enum": [0, 1, 2]},
}
"""Options whose values have a form that their type does not say."""
_PROBE = "probe"


def _options_schema(name: str, cls: Any, definitions: JsonSchema, templates: bool) -> JsonSchema:
    """The schema of an Options struct; with `templates`, an expression may stand for any value."""
    suffix = "-computed" if templates else ""
    (schema,), found = msgspec.json.schema_components([cls.Options], ref_template=f"#/$defs/{{name}}{suffix}")
    own = found.pop(cls.Options.__name__, schema)
    for other, definition in found.items():
        definitions.setdefault(other + suffix, _computed(definition) if templates else definition)
    properties = dict(own.get("properties", {}))
    for option, field in fields(cls.Options).items():
        special = _SPECIAL.get((name, option))
        if special is None and field.type is str and isinstance(field.default, str):
            special = _by_default(field.default)
        if special is not None:
            properties[option] = {**properties[option], **special}
    if templates:
        properties = _computed({"properties": properties})["properties"]
    return {**own, "properties": properties, "description": cls.summary}


def _computed(schema: JsonSchema) -> JsonSchema:
    """The same, where an expression may stand for any value inside."""

    def either(inner: Any) -> Any:
        return {"anyOf": [_computed(inner), _TEMPLATE]} if isinstance(inner, dict) else inner

    found = dict(schema)
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = either(found[key])
    if "properties" in found:
        found["properties"] = {name: either(inner) for name, inner in found["properties"].items()}
    if "prefixItems" in found:
        found["prefixItems"] = [either(inner) for inner in found["prefixItems"]]
    if "anyOf" in found:
        found["anyOf"] = [_computed(inner) for inner in found["anyOf"]]
    return found


def _by_default(default: str) -> JsonSchema | None:
    """What an option's text looks like, when its default is a duration or a size."""
    if re.fullmatch(SHORT_DURATION, default):
        return _DURATION_TEXT
    return _SIZE_TEXT if re.fullmatch(_SIZE, default) else None


def _trigger_schema(name: str, cls: type[AnyTrigger], definitions: JsonSchema) -> JsonSchema:
    options = _options_schema(name, cls, definitions, False)
    forms = [options]
    if not options.get("required"):
        forms.append({"type": "null"})
    short = _short(cls, options)
    if short is not None:
        forms.append(short)
    return {
        "type": "object",
        "properties": {name: {"anyOf": forms}, "id": {"type": "string"}, "accepts": {"type": ["string", "object"]}},
        "required": [name],
        "additionalProperties": False,
    }


def _takes_nothing(name: str, kind: JsonSchema) -> bool:
    return {"type": "null"} in kind["properties"][name]["anyOf"]


def _short(cls: type[AnyTrigger], options: JsonSchema) -> JsonSchema | None:
    """The schema of a kind's short form; None when it has none."""
    if cls.shorthand_form is not None:
        return {"type": "string", "pattern": cls.shorthand_form}
    try:
        found = cls.shorthand(_PROBE)
    except ValueError:
        return None
    alone = [option for option, value in found.items() if value == _PROBE]
    if len(found) == 1 and alone and "pattern" in options["properties"][alone[0]]:
        given: JsonSchema = options["properties"][alone[0]]
        return given
    return {"type": ["string", "number"]}


def _verb_schema(verb: Verb, common: JsonSchema, actions: list[str]) -> JsonSchema:
    properties = {**common, **verb.keys_with(actions)}
    if not verb.acts:
        properties.pop("repeat")
    return {
        "type": "object",
        "properties": properties,
        "required": [verb.name, *verb.required],
        "additionalProperties": False,
    }


def _common() -> JsonSchema:
    handler = {
        "type": "object",
        "properties": {
            "catch": {"type": "string"},
            "if": EXPRESSION,
            "do": STEPS,
            "then": {"enum": ["continue", "fail", "retry"]},
        },
        "additionalProperties": False,
    }
    steps_instead = {
        "type": "object", "properties": {"do": STEPS}, "required": ["do"], "additionalProperties": False,
    }  # fmt: skip
    like_steps = [{"type": "object", "required": ["do"]}, _STEP, {"type": "array", "contains": _STEP}]
    common: JsonSchema = {
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "name": {"type": "string"},
        "only_if": _CLAUSES,
        "unless": _CLAUSES,
        "timeout": _DURATION,
        "on_timeout": {
            "anyOf": [steps_instead, {"not": {"anyOf": like_steps}}],
            "description": "the step's value after a timeout, or {do: [steps]}",
        },
        "retry": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 1000},
                {
                    "type": "object",
                    "properties": {
                        "times": {"type": "integer", "minimum": 0, "maximum": 1000},
                        "wait": {"anyOf": [_DURATION, _RANGE, {"type": "array", "items": _DURATION}]},
                        "if": EXPRESSION,
                        "then": {"enum": ["fail", "pause"]},
                    },
                    "required": ["times"],
                    "additionalProperties": False,
                },
            ]
        },
        "on_error": {"anyOf": [STEPS, {"type": "array", "items": handler}]},
        "repeat": {"enum": ["safe", "keyed", "never"]},
    }
    assert set(common) == set(COMMON)
    return common


def language_schema(actions: Any, triggers: Any) -> JsonSchema:
    """JSON Schema 2020-12 of one flow document."""
    definitions: JsonSchema = {}
    common = _common()
    calls = []
    for name in actions.names():
        options = _options_schema(name, actions.get(name), definitions, True)
        then = {"properties": {"with": options}, **({"required": ["with"]} if options.get("required") else {})}
        calls.append({"if": {"properties": {"call": {"const": name}}, "required": ["call"]}, "then": then})
    definitions["steps"] = {"type": "array", "items": _STEP}
    verbs = [_verb_schema(verb, common, actions.names()) for verb in VERBS.values()]
    definitions["step"] = {"oneOf": verbs, "allOf": calls}
    kinds = [_trigger_schema(name, triggers.get(name), definitions) for name in triggers.names()]
    alone = [name for name, kind in zip(triggers.names(), kinds, strict=True) if _takes_nothing(name, kind)]
    trigger = {"anyOf": [{"enum": alone}, *kinds]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Reactor flow",
        "type": "object",
        "required": ["do"],
        "additionalProperties": False,
        "properties": {
            "flow": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$", "maxLength": 100},
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
