"""The shapes of the API as JSON Schema (2020-12), made from the structs of `reactor.server.answers`: closed, so that a
field that is not there fails a test."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import inspect

from reactor.contracts.trigger import RunRef
from reactor.contracts.verdicts import ShownVerdict
from reactor.server import answers
from reactor.server.answers import Shape

Schema = dict[str, object]
SIMPLE: dict[type[inspect.Type], str] = {
    inspect.StrType: "string", inspect.IntType: "integer", inspect.FloatType: "number", inspect.BoolType: "boolean",
    inspect.NoneType: "null",
}  # fmt: skip


NAMES: dict[type, str] = {ShownVerdict: "Verdict", RunRef: "RunStart"}
"""Structs that the API calls otherwise."""


def name_of(shape: type) -> str:
    return NAMES.get(shape, shape.__name__)


def ref(shape: type | str) -> Schema:
    name = shape if isinstance(shape, str) else name_of(shape)
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(*shapes: type | str) -> Schema:
    return {"oneOf": [ref(shape) for shape in shapes]}


def schema_of(type: inspect.Type) -> Schema:
    """The schema of a field. A struct is named, not repeated."""
    word = SIMPLE.get(type.__class__)
    if word is not None:
        return {"type": word}
    match type:
        case inspect.Metadata():
            return {**schema_of(type.type), **(type.extra_json_schema or {})}
        case inspect.UnionType():
            return _union([schema_of(one) for one in type.types])
        case inspect.ListType():
            return {"type": "array", "items": schema_of(type.item_type)}
        case inspect.DictType():
            inner = schema_of(type.value_type)
            return {"type": "object", **({"additionalProperties": inner} if inner else {})}
        case inspect.EnumType():
            return {"enum": [one.value for one in type.cls]}
        case inspect.LiteralType():
            return {"enum": list(type.values)}
        case inspect.StructType():
            return ref(type.cls)
        case inspect.AnyType():
            return {}
        case inspect.CustomType() if type.cls is object:
            return {}
    raise TypeError(f"there is no schema for {type!r}")


def _union(found: list[Schema]) -> Schema:
    """`{"type": ["string", "null"]}` where only the types differ."""
    words = [one["type"] for one in found if one.keys() == {"type"}]
    return {"type": words} if len(words) == len(found) else {"anyOf": found}


def closed(shape: type) -> Schema:
    """The schema of a struct: these fields, those that may be left out, and no others."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return {
        "type": "object",
        "properties": {field.encode_name: schema_of(field.type) for field in info.fields},
        "required": [field.encode_name for field in info.fields if field.required],
        "additionalProperties": False,
    }


def all_shapes() -> Iterable[type]:
    yield from NAMES
    for name in answers.__all__:
        found: object = vars(answers)[name]
        if isinstance(found, type) and issubclass(found, Shape) and found is not Shape:
            yield found


PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status"],
}  # fmt: skip
"""RFC 9457 allows further fields."""
CLOUD_EVENT: Schema = {
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"}, "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1}, "type": {"type": "string", "minLength": 1},
        "subject": {"type": "string"}, "time": {"type": "string", "format": "date-time"}, "data": {},
    },
    "required": ["specversion", "id", "source", "type"],
}  # fmt: skip
SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    "CloudEvent": CLOUD_EVENT,
    "SentBatch": {"type": "array", "items": one_of(answers.Sent, answers.RefusedItem)},
    **{name_of(shape): closed(shape) for shape in all_shapes()},
}
"""All that `/openapi.json` names."""
SENT = one_of(answers.Sent, "SentBatch")
"""One event, or a batch of them."""
