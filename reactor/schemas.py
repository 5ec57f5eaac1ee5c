"""JSON Schema validators. References to anywhere outside the schema are refused: validating fetches nothing."""

from __future__ import annotations

from typing import Any


class SchemaValidator:
    """Fulfils `reactor.contracts.plan.Validator`."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def problems(self, value: Any) -> list[str]:
        found = []
        for error in self._validator.iter_errors(value):
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
            found.append(f"{path.lstrip('.') or 'the value'}: {error.message}")
            if len(found) >= 20:
                break
        return found


def compile_schema(schema: Any) -> SchemaValidator:
    """Raises ValueError for what is no JSON Schema."""
    import jsonschema_rs

    try:
        return SchemaValidator(jsonschema_rs.validator_for(schema, retriever=_refuse))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(getattr(error, "message", error))) from None


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema")
