"""How a function of the fixed table is declared: a signature, what it does, and an example that is run as a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """`perform` takes the budget, then the arguments."""

    name: str
    signature: str
    summary: str
    example: str
    result: Any
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
        parameters = list(inspect.signature(perform).parameters.values())[1:]
        plain = [p for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
        entry = Function(
            name=signature.partition("(")[0],
            signature=signature,
            summary=summary,
            example=example,
            result=result,
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
