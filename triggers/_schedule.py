"""Firing at instants: the stored position, what was missed, jitter. Shared by `cron` and `every`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactor.contracts.event import Event, rfc3339

MAX_MISSED = 1000
"""Missed instants that `missed: all` makes up for at most."""
LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is looked at again, so that a jump is noticed."""


async def fire(
    ctx: Any, following: Callable[[float], float], kind: str, missed: str, within: float, jitter: float
) -> None:
    """Emits one event an instant for ever. The instant is the event's key, so none is doubled; the position is
    committed with the event, so none is lost. An instant that is older than `within` seconds counts as missed."""
    stored = await ctx.cursor()
    now = ctx.clock.now()
    last = stored.get("last")
    if not isinstance(last, (int, float)):
        last = now
        await ctx.move({"last": last})
    await ctx.ready()
    late = _overdue(following, last, now)
    if late:
        last = await _make_up(ctx, late, kind, missed, within, now)
    while True:
        due = following(max(last, 0.0))
        pause = jitter * ctx.random() if jitter else 0.0
        await _sleep_until(ctx, due + pause)
        now = ctx.clock.now()
        late = _overdue(following, last, now)
        if len(late) > 1:
            last = await _make_up(ctx, late, kind, missed, within, now)
        elif late:
            await _emit(ctx, late[0], kind)
            last = late[0]


def _overdue(following: Callable[[float], float], last: float, now: float) -> list[float]:
    """Instants after `last` up to `now`, the newest MAX_MISSED of them."""
    found: list[float] = []
    instant = following(last)
    while instant <= now:
        found.append(instant)
        if len(found) > 2 * MAX_MISSED:
            del found[:MAX_MISSED]
        instant = following(instant)
    return found[-MAX_MISSED:]


async def _make_up(ctx: Any, late: list[float], kind: str, missed: str, within: float, now: float) -> float:
    recent = [instant for instant in late if now - instant <= within]
    if missed == "all":
        chosen = recent
    elif missed == "run_once":
        chosen = recent[-1:]
    else:
        chosen = [instant for instant in late[-1:] if now - instant < 1.0]
    for instant in chosen:
        await _emit(ctx, instant, kind)
    if not chosen or chosen[-1] != late[-1]:
        await ctx.move({"last": late[-1]})
    return late[-1]


async def _emit(ctx: Any, instant: float, kind: str) -> None:
    stamp = rfc3339(instant)
    event = Event(
        type=f"{kind}.tick",
        source=ctx.at("last", 0).source,
        key=stamp,
        time=instant,
        fields={"scheduled_at": stamp},
    )
    await ctx.emit(event, cursors=[ctx.at("last", instant)])


async def _sleep_until(ctx: Any, due: float) -> None:
    while (left := due - ctx.clock.now()) > 0:
        await ctx.clock.sleep(min(left, LONGEST_SLEEP))
