"""The functions of expressions for the reference: name, parameters, result, one line, example. It is read off the code
that runs; pages are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from flows.expressions.functions import FUNCTIONS, METHODS
from flows.expressions.table import Function, Parameter


@dataclass(frozen=True, slots=True)
class FunctionItem:
    """One function. Parameters without `required` may be left out; all except `many` may be given by name."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: tuple[str, ...]
    summary: str
    example: str
    result: Any
    """The value of the example."""
    method: str | None = None
    """Its name after a dot, where it has one: `s.startswith(x)` is `starts_with(s, x)`."""

    @property
    def signature(self) -> str:
        """Such as `round(x: number, digits: whole number = 0) → number`."""
        shown = ", ".join(map(_shown, self.parameters))
        return f"{self.name}({shown}) → {' or '.join(self.returns)}"


_PATH = Parameter("path", ("path",), True)
GUARDS = (
    FunctionItem(
        "default",
        (_PATH, Parameter("otherwise", ("any value",), True)),
        ("any value",),
        "The value at a path such as event.body.x, or another value where there is none.",
        'default(event.body.x, "none")',
        "none",
    ),
    FunctionItem("has", (_PATH,), ("boolean",), "Whether there is a value at a path.", "has(event.body.x)", False),
)
"""What the compiler knows beside the table: their first argument is looked up without an error."""


def function_items() -> list[FunctionItem]:
    """All functions, by their names."""
    methods = {function.name: method for method, function in METHODS.items()}
    items = [_item(function, methods.get(function.name)) for function in FUNCTIONS.values()]
    return sorted([*items, *GUARDS], key=lambda item: item.name)


def _item(function: Function, method: str | None) -> FunctionItem:
    return FunctionItem(
        function.name,
        function.parameters,
        function.returns,
        function.summary,
        function.example,
        function.result,
        method,
    )


def _shown(parameter: Parameter) -> str:
    text = f"{parameter.name}: {' or '.join(parameter.types)}"
    if parameter.many:
        return f"{text} …"
    return text if parameter.required else f"{text} = {msgspec.json.encode(parameter.default).decode()}"
