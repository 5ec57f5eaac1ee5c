"""Cron at the edges of daylight saving time, and over years; what was missed."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from reactor.contracts.event import Event, rfc3339
from reactor.testing.trigger_suite import Recorder
from triggers.cron import Cron, Options, Schedule
from triggers.every import Every
from triggers.every import Options as EveryOptions


def fires(at: str, zone: str, start: str, count: int) -> list[str]:
    moment = datetime.datetime.fromisoformat(start).timestamp()
    schedule = Schedule(at, zone)
    found = []
    for _ in range(count):
        moment = schedule.following(moment)
        found.append(rfc3339(moment)[:16] + "Z")
    return found


def test_a_fixed_hour_in_the_gap_fires_at_its_end() -> None:
    assert fires("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2) == ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]


def test_a_fixed_hour_that_comes_twice_fires_once() -> None:
    assert fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]


def test_patterns_within_the_hour_follow_utc() -> None:
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 6) == [
        "2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z",
        "2026-10-25T02:30Z",
    ]  # fmt: skip
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3) == [
        "2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z",
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_a_daily_hour_fires_once_each_day_for_five_years(zone: str) -> None:
    schedule = Schedule("15 2 * * *", zone)
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp()
    days = []
    for _ in range(5 * 365):
        after = schedule.following(moment)
        assert after > moment
        days.append(datetime.datetime.fromtimestamp(after, zoneinfo.ZoneInfo(zone)).date())
        moment = after
    assert days == [days[0] + datetime.timedelta(days=n) for n in range(len(days))]


def test_seconds_first_words_and_nonsense() -> None:
    assert fires("*/20 * * * * *", "UTC", "2026-01-01T00:00:00Z", 3)[2] == "2026-01-01T00:01Z"
    assert fires("@daily", "UTC", "2026-01-01T00:00:00Z", 1) == ["2026-01-02T00:00Z"]
    for bad in ("* * *", "61 * * * *", "@never", "R * * * *", ""):
        assert Cron.problems(Options(at=bad)), bad


class VirtualClock:
    def __init__(self, start: float) -> None:
        self.start = start
        self.jump = 0.0

    def now(self) -> float:
        return self.start + self.jump + trio.current_time()

    def monotonic(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def play(
    kind: Any, options: dict[str, Any], seconds: float, position: dict[str, Any], start: float, jump: float = 0.0
) -> list[str]:
    """The instants that fired in so many virtual seconds, with a jump of the wall clock in the middle."""
    return [event.fields["scheduled_at"] for event in played(kind, options, seconds, position, start, jump)]


def played(
    kind: Any, options: dict[str, Any], seconds: float, position: dict[str, Any], start: float, jump: float = 0.0
) -> list[Event]:
    async def main() -> list[Event]:
        clock = VirtualClock(start)
        recorder = Recorder(position, clock=clock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kind(msgspec.convert(options, kind.Options)).listen, recorder)
            await trio.sleep(seconds / 2)
            clock.jump += jump
            await trio.sleep(seconds / 2)
            nursery.cancel_scope.cancel()
        return recorder.events

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()


def test_each_instant_fires_once_over_restarts() -> None:
    position: dict[str, Any] = {}
    first = play(Cron, {"at": "* * * * *"}, 605, position, START)
    second = play(Cron, {"at": "* * * * *"}, 605, position, START + 605)
    assert len(first) == 10 and len(set(first + second)) == len(first + second) == 20


@pytest.mark.parametrize(("missed", "made_up"), [("run_once", 1), ("all", 9), ("skip", 0)])
def test_what_was_missed_follows_its_policy(missed: str, made_up: int) -> None:
    position: dict[str, Any] = {}
    play(Cron, {"at": "* * * * *", "missed": missed}, 70, position, START)
    late = play(Cron, {"at": "* * * * *", "missed": missed}, 20, position, START + 620)
    assert len(late) == made_up
    again = play(Cron, {"at": "* * * * *", "missed": missed}, 15, position, START + 641)
    assert again == []


def test_missed_instants_older_than_within_are_dropped() -> None:
    position: dict[str, Any] = {}
    play(Cron, {"at": "* * * * *", "missed": "all", "within": "3m"}, 70, position, START)
    assert len(play(Cron, {"at": "* * * * *", "missed": "all", "within": "3m"}, 20, position, START + 620)) == 3


def test_a_clock_that_jumps_back_fires_nothing_twice() -> None:
    found = play(Cron, {"at": "* * * * *"}, 1200, {}, START, jump=-300)
    assert len(found) == len(set(found))


def test_a_clock_that_was_years_ahead_does_not_hold_a_schedule_back() -> None:
    """A board without a battery for its clock: the first start is in the wrong year, in either direction."""
    year = 365 * 86_400
    found = play(Cron, {"at": "* * * * *"}, 1200, {}, START, jump=-year)
    assert len(found) == len(set(found)) >= 18
    position: dict[str, Any] = {}
    play(Cron, {"at": "* * * * *"}, 130, position, START)
    assert len(play(Cron, {"at": "* * * * *"}, 130, position, START - year)) == 2
    assert len(play(Every, {"period": "10s"}, 600, {}, 0.0, jump=56 * year)) >= 59


@pytest.mark.parametrize(("missed", "made_up"), [("run_once", 1), ("all", 1000), ("skip", 1)])
def test_what_was_missed_in_years_costs_no_more(missed: str, made_up: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second's schedule, away for ten years: 315 million instants, which are not counted one by one."""
    asked = 0
    plain = Schedule.following

    def following(self: Schedule, moment: float) -> float:
        nonlocal asked
        asked += 1
        return plain(self, moment)

    monkeypatch.setattr(Schedule, "following", following)
    options = {"at": "* * * * * *", "missed": missed, "within": "3650d"}
    late = play(Cron, options, 0.5, {"last": START - 3650 * 86_400}, START)
    assert len(late) == made_up and asked < 20_000
    assert late == sorted(late) and late[-1] == rfc3339(START)


def test_an_old_instant_does_not_hide_that_it_was_missed() -> None:
    """The newest is older than `within`: it is passed over, once, and the position moves behind it."""
    position: dict[str, Any] = {"last": START - 86_400 * 40}
    assert play(Cron, {"at": "0 0 1 * *", "within": "1d"}, 10, position, START + 86_400 * 10) == []
    assert position["last"] == START


def test_every_stands_at_multiples_and_jitter_keeps_scheduled_at() -> None:
    found = play(Every, {"period": "10s"}, 65, {}, START)
    assert len(found) == 6 and all(stamp[17:19].endswith("0") for stamp in found)
    found = play(Cron, {"at": "* * * * *", "jitter": "20s"}, 300, {}, START)
    assert found and all(stamp[17:26] == "00.000000" for stamp in found)
    assert Every.problems(EveryOptions(period="1ms"))


def days(at: str, count: int = 4) -> list[str]:
    return [stamp[5:10] for stamp in fires(at, "UTC", "2026-01-01T00:00:00Z", count)]


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("0 0 * * 5L", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 0 * * friL", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 0 * * 7L", ["01-25", "02-22", "03-29", "04-26"]),
        ("0 0 * * 1L,5l", ["01-26", "01-30", "02-23", "02-27"]),
        ("0 0 15W * *", ["01-15", "02-16", "03-16", "04-15"]),
        ("0 0 LW * *", ["01-30", "02-27", "03-31", "04-30"]),
        ("0 0 0 LW * *", ["01-30", "02-27", "03-31", "04-30"]),
        ("0 0 L * *", ["01-31", "02-28", "03-31", "04-30"]),
        ("0 0 L * 5", ["01-02", "01-09", "01-16", "01-23"]),
        ("0 0 13 * 5", ["01-02", "01-09", "01-13", "01-16"]),
        ("0 0 ? * 5", ["01-02", "01-09", "01-16", "01-23"]),
    ],
)
def test_special_days(at: str, found: list[str]) -> None:
    assert Cron.problems(Options(at=at)) == []
    assert days(at) == found


@pytest.mark.parametrize(
    ("at", "named"),
    [
        ("0 0 L-3 * *", "L-3"),
        ("0 0 L-1W * *", "L-1W"),
        ("0 0 LW,1 * *", "LW"),
        ("0 0 15W * 5", "weekday 5 would be ignored"),
        ("0 0 0 15W * 5", "weekday 5 would be ignored"),
        ("0 0 LW * 1-5", "weekday 1-5 would be ignored"),
        ("0 0 1 * 5#3", "day of the month 1 would be ignored"),
        ("0 0 1 * 5L", "day of the month 1 would be ignored"),
        ("0 0 L * 5L", "day of the month L would be ignored"),
        ("0 0 1-31 * 1", "1-31 in the day of the month means every day"),
        ("0 0 */1 * 1", "*/1 in the day of the month means every day"),
        ("0 0 1 * mon-sun", "mon-sun in the weekday means every day"),
        ("0 0 1 * 0,1,2,3,4,5,6", "means every day"),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(at: str, named: str) -> None:
    ((field, message),) = Cron.problems(Options(at=at))
    assert field == "at" and named in message


def test_every_goes_on_when_the_clock_is_set_back_by_an_hour() -> None:
    position: dict[str, Any] = {}
    found = play(Every, {"period": "10s"}, 605, position, START, jump=-3600)
    assert len(found) == len(set(found)) == 60
    again = played(Every, {"period": "10s"}, 605, position, START + 605 - 3600)
    assert len(again) == 60, "the next life begins at the wall clock"
    keys = [event.key for event in again]
    assert len(set(keys)) == 60 and not set(keys) & set(found), "keys of the first life are not used again"
    assert len(play(Every, {"period": "10s"}, 600, position, START + 1215 - 3600)) == 60


def test_every_follows_a_clock_that_is_set_forward() -> None:
    found = play(Every, {"period": "10s"}, 600, {}, START, jump=86_400)
    assert len(found) == len(set(found)) >= 59 and found[-1] > rfc3339(START + 86_400)


def test_a_cron_instant_fires_once_when_the_clock_is_set_back_by_an_hour() -> None:
    found = play(Cron, {"at": "* * * * *"}, 7800, {}, START, jump=-3600)
    assert len(found) == len(set(found)) >= 69
