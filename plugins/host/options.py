"""A JSON Schema of options as the frozen struct that the flow checker, the reference and the page read."""

from __future__ import annotations

import copy
import functools
import keyword
from typing import Any, Literal

import msgspec

TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list[Any], "object": dict[str, Any],
}  # fmt: skip


def options_struct(name: str, schema: dict[str, Any]) -> type[msgspec.Struct]:
    """Required properties have no default; the others are None unless the schema has a `default`. What a struct cannot
    say (ranges, patterns, nesting) is checked by the schema itself."""
    required = set(schema.get("required", ()))
    fields: list[Any] = []
    for place, (option, given) in enumerate(schema.get("properties", {}).items()):
        kind = _type(given if isinstance(given, dict) else {})
        own = option if option.isidentifier() and not keyword.iskeyword(option) else f"option_{place}"
        if option in required:
            fields.append((own, kind, msgspec.field(name=option)))
        else:
            default = given.get("default") if isinstance(given, dict) else None
            field = msgspec.field(name=option, default_factory=functools.partial(copy.deepcopy, default))
            fields.append((own, kind if default is not None else kind | None, field))
    made = msgspec.defstruct(name, fields, frozen=True, forbid_unknown_fields=True, kw_only=True)
    made.DESCRIPTIONS = descriptions(schema)  # type: ignore[attr-defined]
    return made


def descriptions(schema: dict[str, Any]) -> dict[str, str]:
    """The description of each option."""
    return {
        option: str(given.get("description", "")) if isinstance(given, dict) else ""
        for option, given in schema.get("properties", {}).items()
    }


def given_options(options: msgspec.Struct) -> dict[str, Any]:
    """The options that were given or have a default, by the names of the schema."""
    found = {
        field.encode_name: getattr(options, field.name) for field in msgspec.structs.fields(options)
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _type(given: dict[str, Any]) -> Any:
    choices = given.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices):
        return Literal[tuple(choices)]
    kind = given.get("type")
    return TYPES.get(kind, Any) if isinstance(kind, str) else Any
