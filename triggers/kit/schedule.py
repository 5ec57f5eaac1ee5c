"""Firing at instants: the stored position, what was missed, jitter. Shared by `cron` and `every`."""

from __future__ import annotations

from collections.abc import Callable

from reactor.contracts.clock import Clock
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.trigger import TriggerContext

MAX_MISSED = 1000
"""Missed instants that `missed: all` makes up for at most."""
LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is looked at again, so that a jump is noticed."""
SET_BACK = 3600.0
"""Seconds by which the position may be in the future: beyond, the clock was wrong, and the schedule goes on from now.
What fired in the meantime is known by its key."""
FIRST_LOOK = 60.0
AHEAD = 1.0
"""Seconds that the wall clock may be ahead of the steady one; beyond, it was set forward."""


class SteadyClock:
    """The wall clock as it was at the start, continued by the monotonic clock: it never goes back. When the wall clock
    is ahead of it (set forward, or a machine that slept), it follows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.now(), clock.monotonic()

    def now(self) -> float:
        moment = self._clock.monotonic()
        steady, wall = self._wall + moment - self._monotonic, self._clock.now()
        if wall - steady > AHEAD:
            self._wall, self._monotonic = wall, moment
            return wall
        return steady


async def fire(
    ctx: TriggerContext, following: Callable[[float], float], kind: str, missed: str, within: float, jitter: float
) -> None:
    """Emits one event for each instant of the wall clock. The instant is the event's key, so none is doubled; the
    position is committed with the event, so none is lost. An instant that is older than `within` seconds counts as
    missed."""
    last = (await ctx.cursor()).get("last")
    if not isinstance(last, (int, float)):
        last = ctx.clock.now()
        await ctx.move({"last": last})
    await ctx.ready()
    await _fire(ctx, ctx.clock.now, last, following, kind, missed, within, jitter, 0)


async def fire_steadily(ctx: TriggerContext, following: Callable[[float], float], kind: str, missed: str) -> None:
    """The same by the steady clock, so that a wall clock that is set back stalls nothing. A position in the future at
    the start (the clock was set back while the daemon was down, or in its last life) begins a new turn: what fires
    once more at the same instants has other keys."""
    steady = SteadyClock(ctx.clock)
    position = await ctx.cursor()
    last, turn = position.get("last"), position.get("turn", 0)
    if not isinstance(last, (int, float)):
        last = steady.now()
        await ctx.move({"last": last})
    elif last > steady.now():
        last, turn = steady.now(), turn + 1
        await ctx.move({"last": last, "turn": turn})
    await ctx.ready()
    await _fire(ctx, steady.now, last, following, kind, missed, float("inf"), 0.0, turn)


async def _fire(
    ctx: TriggerContext,
    clock: Callable[[], float],
    last: float,
    following: Callable[[float], float],
    kind: str,
    missed: str,
    within: float,
    jitter: float,
    turn: int,
) -> None:
    began = False
    expected, pause = 0.0, 0.0
    while True:
        now = clock()
        if last - now > SET_BACK:
            last = now
            await ctx.move({"last": last})
        late = _overdue(following, last, now, within)
        due = late[0] if late else following(max(last, 0.0))
        if due != expected:
            expected, pause = due, jitter * ctx.random() if jitter else 0.0
        if late and (len(late) > 1 or not began):
            last = await _make_up(ctx, late, kind, missed, within, now, turn)
        elif late and now >= due + pause:
            await _emit(ctx, due, kind, turn)
            last = due
        else:
            await ctx.clock.sleep(min(due + pause - now, LONGEST_SLEEP))
        began = True


def _overdue(following: Callable[[float], float], last: float, now: float, within: float) -> list[float]:
    """Instants after `last` up to `now`: the newest MAX_MISSED of them, and of those that are older than `within` only
    the newest. Looks back further and further, so that it costs no more when years were missed."""
    window = FIRST_LOOK
    while True:
        since = max(last, now - window)
        found: list[float] = []
        instant = following(since)
        while instant <= now:
            found.append(instant)
            instant = following(instant)
        if since == last or len(found) >= MAX_MISSED or (found and window > within):
            return found[-MAX_MISSED:]
        window *= 4


async def _make_up(
    ctx: TriggerContext, late: list[float], kind: str, missed: str, within: float, now: float, turn: int
) -> float:
    recent = [instant for instant in late if now - instant <= within]
    if missed == "all":
        chosen = recent
    elif missed == "run_once":
        chosen = recent[-1:]
    else:
        chosen = [instant for instant in late[-1:] if now - instant < 1.0]
    for instant in chosen:
        await _emit(ctx, instant, kind, turn)
    if not chosen or chosen[-1] != late[-1]:
        await ctx.move({"last": late[-1]})
    return late[-1]


async def _emit(ctx: TriggerContext, instant: float, kind: str, turn: int) -> None:
    stamp = rfc3339(instant)
    event = Event(
        type=f"{kind}.tick",
        source=ctx.at("last", 0).source,
        key=f"{stamp}#{turn}" if turn else stamp,
        time=instant,
        fields={"scheduled_at": stamp},
    )
    await ctx.emit(event, cursors=[ctx.at("last", instant)])
