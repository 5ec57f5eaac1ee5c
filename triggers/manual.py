"""Started by a person, by `reactor start`, or by another flow's `run`."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    inputs: dict[str, Any] | None = None
    """JSON Schema of the inputs; a start that does not fit is refused."""


class Manual(TriggerKind[Options]):
    name = "manual"
    summary = "Started by hand, over the API, or by another flow; `inputs` is a JSON Schema."
    example = "manual:\n  inputs: {type: object, required: [sku]}"
    event_type = "manual"
    event_fields = ()
    passive = True
    by_name = True

    @classmethod
    def source(cls, options: Options, folder: str) -> str:
        return "manual"

    @classmethod
    def inputs(cls, options: Options) -> dict[str, Any] | None:
        return options.inputs

    async def listen(self, ctx: TriggerContext) -> None:
        await ctx.ready()
        await ctx.clock.sleep(float("inf"))
