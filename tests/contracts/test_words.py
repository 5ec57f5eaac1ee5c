"""What does not fit, in words: options and JSON Schemas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from plugins.actions.log import LogOptions
from reactor.kit.json_schema import compile_schema
from reactor.kit.words import choices, explain


class Inner(msgspec.Struct):
    kind: Literal["a", "b"] = "a"
    some: list[Literal["z", "y"]] = []
    maybe: Literal["q"] | None = None
    table: dict[str, Literal["t"]] = {}
    number: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    many: list[Inner] = []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inner": {"kind": "c"}}, "inner.kind must be a or b"),
        ({"inner": {"some": ["x"]}}, "inner.some[0] must be z or y"),
        ({"inner": {"maybe": "x"}}, "inner.maybe must be q"),
        ({"inner": {"table": {"k": "x"}}}, "inner.table[...] must be t"),
        ({"inner": {}, "many": [{}, {"kind": "c"}]}, "many[1].kind must be a or b"),
        ({"inner": {"number": 9}}, "inner.number must be 5 or less"),
        ({"inner": {"number": 0}}, "inner.number must be 1 or more"),
        ({"inner": {"number": "x"}}, "inner.number: expected int, got str"),
        ({}, "Object missing required field inner"),
    ],
)
def test_an_option(given: Any, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Outer)
    assert explain(caught.value, Outer) == words


def test_the_words_stand_as_they_were_declared() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"message": 1, "level": "loud"}, LogOptions)
    assert explain(caught.value, LogOptions) == "level must be debug, info, warning or error"
    assert (choices([]), choices(["a"]), choices(["a", None, 2])) == ("", "a", "a, null or 2")


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        (
            {"properties": {"level": {"enum": ["debug", "info", 3]}}},
            {"level": "x"},
            'level must be debug, info or 3, not "x"',
        ),
        ({"const": 5}, 1, "the value must be 5, not 1"),
        ({"required": ["name"]}, {}, "name is required but missing"),
        ({"properties": {"n": {"type": "integer"}}}, {"n": "x"}, 'n must be an integer, not "x"'),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"z": 1}, "z is not a known field"),
        ({"format": "date-time"}, "yesterday", 'the value: "yesterday" is not a valid date-time'),
        ({"format": "email"}, "nobody", 'the value: "nobody" is not a valid email'),
        ({"format": "uuid"}, "1-2-3", 'the value: "1-2-3" is not a valid uuid'),
        ({"format": "ipv4"}, "300.1.1.1", 'the value: "300.1.1.1" is not a valid ipv4'),
        ({"format": "date"}, "2024-02-31", 'the value: "2024-02-31" is not a valid date'),
        ({"format": "uri"}, "no uri", 'the value: "no uri" is not a valid uri'),
    ],
)
def test_a_schema(schema: Any, value: Any, words: str) -> None:
    assert compile_schema(schema).problems(value) == [words]


def test_a_format_that_nobody_knows_is_a_note() -> None:
    assert compile_schema({"format": "order-number"}).problems("x") == []
