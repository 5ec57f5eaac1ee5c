"""`random.int` and `random.choice`."""

from __future__ import annotations

from typing import Any

import msgspec

from plugins.actions._random import source
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind


class IntOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    min: int = 0
    """The least."""
    max: int = 100
    """The greatest, which may come up too."""


class ChoiceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    of: list[Any]
    """What to choose from."""


class Int(ActionKind[IntOptions]):
    name = "random.int"
    summary = "A random whole number; the result is the number itself."
    repeat = "safe"
    Options = IntOptions
    example = "call: random.int\nwith: {min: 1, max: 6}"

    async def run(self, options: IntOptions, context: ActionContext) -> object:
        if options.max < options.min:
            raise StepFailed("expression", f"random.int goes from {options.min} down to {options.max}")
        return source(context).randint(options.min, options.max)


class Choice(ActionKind[ChoiceOptions]):
    name = "random.choice"
    summary = "One element of a list; the result is the element itself."
    repeat = "safe"
    Options = ChoiceOptions
    example = "call: random.choice\nwith: {of: [red, green]}"

    async def run(self, options: ChoiceOptions, context: ActionContext) -> object:
        if not options.of:
            raise StepFailed("expression", "random.choice has nothing to choose from")
        return source(context).choice(options.of)
