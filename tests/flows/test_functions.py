"""The table of functions, from which their reference is made."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

from flows.expressions import compile_expression
from flows.expressions.calls import GUARDS
from flows.expressions.functions import FUNCTIONS, METHODS
from flows.expressions.reference import FunctionItem, function_items
from flows.expressions.table import TYPES
from reactor.contracts.errors import StepFailed

ITEMS = {item.name: item for item in function_items()}
NAMES: dict[str, object] = {"event": {"body": {}}}
KINDS = {"list": "[1]", "object": "{'a': 1}", "number": "1.5"}
"""Values of kinds; one that a parameter does not take is refused."""
CONVERTED = {"timestamp", "duration", "boolean", "any value"}
"""Types that values of several kinds become."""


def test_every_function_is_in_it() -> None:
    assert set(ITEMS) == {*FUNCTIONS, *GUARDS}
    assert {item.method for item in ITEMS.values()} - {None} == set(METHODS)
    assert all(ITEMS[function.name].method == method for method, function in METHODS.items())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_signature_is_that_of_the_code(name: str) -> None:
    _, *found = inspect.signature(FUNCTIONS[name].perform).parameters.values()
    item = ITEMS[name]
    assert [parameter.name for parameter in item.parameters] == [one.name for one in found]
    for parameter, one in zip(item.parameters, found, strict=True):
        assert parameter.many is (one.kind is inspect.Parameter.VAR_POSITIONAL)
        assert parameter.required is (not parameter.many and one.default is inspect.Parameter.empty)
        assert parameter.required or parameter.many or parameter.default == one.default
        assert parameter.types == tuple(TYPES[word] for word in str(one.annotation).split(" | "))


@pytest.mark.parametrize("item", ITEMS.values(), ids=lambda item: item.name)
def test_the_result_is_of_the_kind_that_is_named(item: FunctionItem) -> None:
    value = compile_expression(item.example).evaluate(NAMES)
    assert value == item.result
    kind = {str: "string", bool: "boolean", int: "number", float: "number", list: "list", dict: "object"}[type(value)]
    assert kind in item.returns or item.returns == ("any value",)


def _calls_with_a_wrong_value() -> list[Any]:
    found = []
    for name, function in FUNCTIONS.items():
        call = ast.parse(function.example, mode="eval").body
        assert isinstance(call, ast.Call)
        for place, parameter in enumerate(function.parameters[: len(call.args)]):
            if CONVERTED.isdisjoint(parameter.types):
                given = [ast.unparse(argument) for argument in call.args]
                given[place] = next(value for kind, value in KINDS.items() if kind not in parameter.types)
                found.append(pytest.param(f"{name}({', '.join(given)})", id=f"{name}-{parameter.name}"))
    return found


@pytest.mark.parametrize("source", _calls_with_a_wrong_value())
def test_a_value_of_another_type_is_refused(source: str) -> None:
    with pytest.raises(StepFailed) as caught:
        compile_expression(source).evaluate(NAMES)
    assert caught.value.type == "expression"


def test_how_a_signature_reads() -> None:
    assert ITEMS["sorted"].signature == (
        "sorted(items: list, by: string or null = null, reverse: boolean = false) → list"
    )
    assert ITEMS["max"].signature == "max(first: any value, more: any value …) → any value"
    assert ITEMS["default"].signature == "default(path: path, otherwise: any value) → any value"
