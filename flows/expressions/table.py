"""How a function of the fixed table is declared: a signature, what it does, and an example that is run as a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Text: TypeAlias = object
Whole: TypeAlias = object
Number: TypeAlias = object
Flag: TypeAlias = object
List: TypeAlias = object
Object: TypeAlias = object
Moment: TypeAlias = object
Duration: TypeAlias = object
Value: TypeAlias = object
"""What a function takes, by the names of `TYPES`: any value may come, and the function refuses what does not fit."""

TYPES = {
    "Text": "string",
    "Whole": "whole number",
    "Number": "number",
    "Flag": "boolean",
    "List": "list",
    "Object": "object",
    "Moment": "timestamp",
    "Duration": "duration",
    "Value": "any value",
    "None": "null",
    "str": "string",
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "list": "list",
    "dict": "object",
    "Any": "any value",
}
"""Annotations of the functions, as the reference names them. A timestamp is text in RFC 3339, or seconds since 1970; a
duration is text such as 1h30m, or seconds."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, by the name under which calls may give it."""

    name: str
    types: tuple[str, ...]
    """Values of `TYPES`."""
    required: bool
    default: Any = None
    """What it is when a call leaves it out, unless it is required."""
    many: bool = False
    """Stands for any number of further arguments, which have no name."""


@dataclass(frozen=True, slots=True)
class Function:
    """`perform` takes the budget, then the arguments."""

    name: str
    signature: str
    summary: str
    example: str
    result: Any
    parameters: tuple[Parameter, ...]
    returns: tuple[str, ...]
    perform: Callable[..., Any]
    least: int
    most: int | None
    named: tuple[str, ...]
    steps: int
    """What a call costs."""
    weight: int
    """What `CHARACTERS` characters of each text argument cost."""

    def fits(self, given: int, named: list[str]) -> str | None:
        """What is wrong with a call that has so many arguments and these named ones; None when it fits."""
        for name in named:
            if name not in self.named:
                return f"{self.name}() has no argument called {name}; it is {self.signature}"
            if self.named.index(name) < given:
                return f"{self.name}() got {name} twice"
        if given + len(named) < self.least or (self.most is not None and given + len(named) > self.most):
            return f"{self.name}() is called as {self.signature}"
        return None


FUNCTIONS: dict[str, Function] = {}
METHODS: dict[str, Function] = {}


def function(
    signature: str,
    summary: str,
    example: str,
    result: Any,
    method: str | None = None,
    steps: int = 8,
    weight: int = 1,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a function; `method` is its name after a dot, where it has one."""

    def declare(perform: Callable[..., Any]) -> Callable[..., Any]:
        found = inspect.signature(perform)
        parameters = list(found.parameters.values())[1:]
        plain = [p for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
        entry = Function(
            name=signature.partition("(")[0],
            signature=signature,
            summary=summary,
            example=example,
            result=result,
            parameters=tuple(map(_parameter, parameters)),
            returns=_types(str(found.return_annotation)),
            perform=perform,
            least=sum(1 for p in plain if p.default is inspect.Parameter.empty),
            most=None if len(plain) < len(parameters) else len(parameters),
            named=tuple(p.name for p in plain),
            steps=steps,
            weight=weight,
        )
        FUNCTIONS[entry.name] = entry
        if method is not None:
            METHODS[method] = entry
        return perform

    return declare


def _parameter(found: inspect.Parameter) -> Parameter:
    many = found.kind is inspect.Parameter.VAR_POSITIONAL
    required = found.default is inspect.Parameter.empty and not many
    default = None if required or many else found.default
    return Parameter(found.name, _types(str(found.annotation)), required, default, many)


def _types(annotation: str) -> tuple[str, ...]:
    """The types of an annotation such as `Text | None`; what a list or an object holds is not said."""
    words = (word.partition("[")[0] for word in annotation.split(" | "))
    return tuple(dict.fromkeys(TYPES[word] for word in words))
