"""Cron expressions: five fields, or six with the seconds first, in any zone.

At the edges of daylight saving time our own rule holds: a fixed hour fires once a day, at the gap's end when its
time does not exist, at the first of two when it comes twice; patterns within the hour follow UTC.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Literal

import msgspec

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from triggers.kit.days import day_fields
from triggers.kit.schedule import fire

WORDS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    at: str
    """Five fields (minute hour day month weekday), six with the seconds first, or @daily and the like."""
    zone: str = "UTC"
    """A zone such as Europe/Berlin."""
    missed: Literal["run_once", "all", "skip"] = "run_once"
    """What becomes of instants that came due while the daemon was down."""
    within: str = "1d"
    """Instants older than this are not made up for."""
    jitter: str = "0s"
    """Fires up to so much later, at random; `scheduled_at` stays exact."""


class Schedule:
    """The instants of an expression in a zone. Raises ValueError."""

    def __init__(self, at: str, zone: str) -> None:
        from croniter import croniter

        expression = WORDS.get(at.strip().lower(), at.strip())
        fields = expression.split()
        if expression.startswith("@"):
            raise ValueError(f"{at!r} is not one of {', '.join(WORDS)}")
        if len(fields) not in (5, 6):
            raise ValueError(f"a cron expression has 5 or 6 fields, not {len(fields)}: {at!r}")
        if any(character in expression for character in "RrHh") and any(f[:1] in "RrHh" for f in fields):
            raise ValueError("random and hashed fields are not used here; see jitter")
        try:
            self._zone = zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no zone {zone!r}; it is one such as Europe/Berlin") from None
        self._seconds_first = len(fields) == 6
        fields[-3], fields[-1] = day_fields(fields[-3], fields[-1])
        self._croniter = croniter
        hour = fields[2] if self._seconds_first else fields[1]
        self._fixed = not any(character in hour for character in "*/-")
        self._expression = " ".join(fields)
        try:
            self._local(datetime.datetime(2024, 1, 1))  # noqa: DTZ001 - wall time of the zone, on purpose
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{at!r} is not a valid cron expression: {error}") from None

    def _local(self, wall: datetime.datetime) -> datetime.datetime:
        """The next matching wall time after `wall`, both without a zone."""
        iterator = self._croniter(self._expression, wall, second_at_beginning=self._seconds_first)
        found: datetime.datetime = iterator.get_next(datetime.datetime)
        return found

    def following(self, moment: float) -> float:
        """The first instant after `moment`, both in seconds since the epoch."""
        return self._fixed_after(moment) if self._fixed else self._sliding_after(moment)

    def _fixed_after(self, moment: float) -> float:
        here = datetime.datetime.fromtimestamp(moment, self._zone)
        wall = here.replace(tzinfo=None) - datetime.timedelta(hours=3)
        while True:
            wall = self._local(wall)
            instant = self._resolve(wall)
            if instant > moment:
                return instant

    def _resolve(self, wall: datetime.datetime) -> float:
        """The instant of a wall time: the first of two, the end of the gap for none."""
        aware = wall.replace(tzinfo=self._zone, fold=0)
        instant = aware.timestamp()
        if datetime.datetime.fromtimestamp(instant, self._zone).replace(tzinfo=None) == wall:
            return instant
        before, after = aware.utcoffset(), wall.replace(tzinfo=self._zone, fold=1).utcoffset()
        assert before is not None and after is not None
        low, high = sorted((wall - before, wall - after))
        start = low.replace(tzinfo=datetime.UTC).timestamp() - 86400
        end = high.replace(tzinfo=datetime.UTC).timestamp() + 86400
        return self._gap_end(start, end, wall)

    def _gap_end(self, start: float, end: float, wall: datetime.datetime) -> float:
        """The first instant whose wall time is not before `wall`, by bisection to the second."""
        low, high = int(start), int(end)
        while low < high:
            middle = (low + high) // 2
            if datetime.datetime.fromtimestamp(middle, self._zone).replace(tzinfo=None) >= wall:
                high = middle
            else:
                low = middle + 1
        return float(low)

    def _sliding_after(self, moment: float) -> float:
        """Patterns within the hour go on in UTC: both hours of a repeated one fire, a missing one has none."""
        here = datetime.datetime.fromtimestamp(moment, self._zone)
        offset = here.utcoffset()
        assert offset is not None
        zone = datetime.timezone(offset)
        while True:
            wall = self._local(datetime.datetime.fromtimestamp(moment, zone).replace(tzinfo=None))
            instant = wall.replace(tzinfo=zone).timestamp()
            real = datetime.datetime.fromtimestamp(instant, self._zone).utcoffset()
            assert real is not None
            if real == offset:
                return instant
            moment = self._last_before(moment, instant, offset)
            offset, zone = real, datetime.timezone(real)

    def _last_before(self, moment: float, instant: float, offset: datetime.timedelta) -> float:
        """The last second at which the zone still had `offset`."""
        low, high = int(moment), int(instant)
        while low < high:
            middle = (low + high + 1) // 2
            if datetime.datetime.fromtimestamp(middle, self._zone).utcoffset() == offset:
                low = middle
            else:
                high = middle - 1
        return float(low)


class Cron(TriggerKind[Options]):
    name = "cron"
    summary = "Fires at the instants of a cron expression."
    example = 'cron: "0 6 * * 1-5"'
    event_type = "cron.tick"
    identity = True
    event_fields = ("scheduled_at",)
    one_reader = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        return {"at": text}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        try:
            Schedule(options.at, options.zone).following(0.0)
        except ValueError as error:
            found.append(("zone" if "zone" in str(error) else "at", str(error)))
        for field in ("within", "jitter"):
            try:
                parse_duration(getattr(options, field))
            except DurationError as error:
                found.append((field, str(error)))
        return found

    async def listen(self, ctx: TriggerContext) -> None:
        schedule = Schedule(self.options.at, self.options.zone)
        within, jitter = parse_duration(self.options.within), parse_duration(self.options.jitter)
        await fire(ctx, schedule.following, "cron", self.options.missed, within, jitter)
