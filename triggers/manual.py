"""Started by a person, by `reactor start`, or by another flow's `run`."""

from __future__ import annotations

from typing import Any

import msgspec

from triggers.kit.shared import Kind


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    inputs: dict[str, Any] | None = None
    """JSON Schema of the inputs; a start that does not fit is refused."""


class Manual(Kind):
    name = "manual"
    summary = "Started by hand, over the API, or by another flow; `inputs` is a JSON Schema."
    Options = Options
    example = "manual:\n  inputs: {type: object, required: [sku]}"
    event_type = "manual"

    @classmethod
    def source(cls, options: Any, folder: str) -> str:
        return "manual"

    async def listen(self, ctx: Any) -> None:
        await ctx.ready()
        await ctx.clock.sleep(float("inf"))
