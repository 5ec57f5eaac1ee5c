"""`time.now`: the moment, as data."""

from __future__ import annotations

import datetime
import zoneinfo

import msgspec

from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.kinds import ActionKind


class NowOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    zone: str = "UTC"
    """The zone of `local`, `date` and `weekday`."""


class Now(ActionKind[NowOptions]):
    name = "time.now"
    summary = (
        "The present moment: `time` (RFC 3339, UTC), `epoch`, and `local`, `date`, `weekday` (1 is Monday) in a zone."
    )
    repeat = "safe"
    Options = NowOptions
    result_fields = ("time", "epoch", "local", "date", "weekday")
    example = "call: time.now\nwith: {zone: Europe/Berlin}"

    async def run(self, options: NowOptions, context: ActionContext) -> object:
        try:
            zone = zoneinfo.ZoneInfo(options.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise StepFailed("expression", f"there is no zone {options.zone!r}") from None
        now = context.clock.now()
        local = datetime.datetime.fromtimestamp(now, zone)
        return {
            "time": rfc3339(now),
            "epoch": now,
            "local": local.isoformat(timespec="microseconds"),
            "date": local.strftime("%Y-%m-%d"),
            "weekday": local.isoweekday(),
        }
