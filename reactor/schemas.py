"""JSON Schema validators. References to anywhere outside the schema are refused: validating fetches nothing."""

from __future__ import annotations

from typing import Any

import msgspec

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
    """What is wrong and where, in words: `name is required but missing`, `level must be an integer, not "high"`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path).lstrip(".")
    kind = error.kind
    if kind.name == "required":
        return f"{path}.{kind.property} is required but missing" if path else f"{kind.property} is required but missing"
    where = path or "the value"
    if kind.name == "type":
        wanted = " or ".join(TYPES.get(type, type) for type in sorted(kind.types))
        return f"{where} must be {wanted}, not {_short(error.instance)}"
    if kind.name == "enum":
        shown = [_short(option) for option in kind.options]
        wanted = f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
        return f"{where} must be {wanted}, not {_short(error.instance)}"
    if kind.name == "additionalProperties":
        return "; ".join(f"{path + '.' if path else ''}{name} is not a known field" for name in kind.unexpected)
    return f"{where}: {error.message}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else text[:57] + "…"


def compile_schema(schema: Any) -> SchemaValidator:
    """Raises ValueError for what is no JSON Schema."""
    import jsonschema_rs

    try:
        return SchemaValidator(jsonschema_rs.validator_for(schema, retriever=_refuse))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(getattr(error, "message", error))) from None


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema")
