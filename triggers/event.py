"""Events by type: from the HTTP API, from `emit`, from the daemon itself."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext

_TYPE = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    type: str
    """The event's type; `*` stands for one part between dots, `**` for the rest."""
    source: str | None = None
    """Only events of this source."""
    where: Any = None
    """An expression, or a list of them that must all hold."""


class EventKind(TriggerKind[Options]):
    """Has no source of its own: the router matches every event of the fitting type."""

    name = "event"
    summary = "An event of a type, sent by HTTP, emitted by a flow, or the daemon's own (reactor.run.failed …)."
    example = "event: order.created"
    event_type = ""
    identity = True
    passive = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        return {"type": text}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        if not _TYPE.fullmatch(options.type):
            return [("type", f"{options.type!r} is no event type; write order.created, order.* or order.**")]
        parts = options.type.split(".")
        if any("*" in part and part not in ("*", "**") for part in parts) or "**" in parts[:-1]:
            return [("type", "* stands for a whole part between dots, and ** for the rest at the end")]
        return []

    @classmethod
    def source(cls, options: Options, folder: str) -> str:
        return "event"

    @classmethod
    def pattern(cls, options: Options) -> str | None:
        return options.type

    @classmethod
    def sender(cls, options: Options) -> str | None:
        return options.source

    async def listen(self, ctx: TriggerContext) -> None:
        await ctx.ready()
        await ctx.clock.sleep(float("inf"))
