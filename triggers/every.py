"""A fixed period."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from triggers.kit.schedule import fire_steadily


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    period: str
    """A duration; ticks stand at its multiples since 1970, so that a restart does not move them."""
    missed: Literal["run_once", "all", "skip"] = "skip"
    """What becomes of ticks that came due while the daemon was down."""


class Every(TriggerKind[Options]):
    name = "every"
    summary = "Fires at a fixed period."
    example = "every: 10s"
    event_type = "every.tick"
    identity = True
    event_fields = ("scheduled_at",)

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        return {"period": text}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        try:
            seconds = parse_duration(options.period)
        except DurationError as error:
            return [("period", str(error))]
        return [] if seconds >= 0.1 else [("period", "the shortest period is 100ms")]

    async def listen(self, ctx: TriggerContext) -> None:
        period = parse_duration(self.options.period)

        def following(moment: float) -> float:
            return (math.floor(moment / period + 1e-9) + 1) * period

        await fire_steadily(ctx, following, "every", self.options.missed)
