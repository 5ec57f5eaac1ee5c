"""JSON Schema validators. References to anywhere outside the schema are refused: validating fetches nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.kit.words import choices

TYPES = {
    "object": "an object", "array": "a list", "string": "a text", "integer": "an integer", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


class SchemaValidator:
    """Fulfils `reactor.contracts.plan.Validator`."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def problems(self, value: Any) -> list[str]:
        found = []
        for error in self._validator.iter_errors(value):
            found.append(_sentence(error))
            if len(found) >= 20:
                break
        return found


def _sentence(error: Any) -> str:
    """What is wrong, with its place, in words: "name is missing", "level must be an integer, not "high"."."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path).lstrip(".")
    kind = error.kind
    where = path or "the value"
    if kind.name == "required":
        return f"{path}.{kind.property} is required but missing" if path else f"{kind.property} is required but missing"
    if kind.name == "type":
        wanted = " or ".join(TYPES.get(type, type) for type in sorted(kind.types))
        return f"{where} must be {wanted}, not {_short(error.instance)}"
    if kind.name == "enum":
        return f"{where} must be {choices(kind.options)}, not {_short(error.instance)}"
    if kind.name == "const":
        return f"{where} must be {_short(kind.expected_value)}, not {_short(error.instance)}"
    if kind.name == "format":
        return f"{where}: {_short(error.instance)} is not a valid {kind.format}"
    if kind.name == "additionalProperties":
        return "; ".join(f"{path + '.' if path else ''}{name} is not a known field" for name in kind.unexpected)
    return f"{where}: {error.message}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else text[:57] + "…"


def compile_schema(schema: Any) -> SchemaValidator:
    """A validator; `format` is asserted. Raises ValueError for what is not a JSON Schema."""
    import jsonschema_rs

    try:
        return SchemaValidator(jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(getattr(error, "message", error))) from None


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema")
