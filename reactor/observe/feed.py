"""What happens, for people who watch: kept in a ring, aggregated where it is too much, the same for every client.

Each tick becomes a few frames: its facts one by one, or, when there are more than `DETAIL`, one frame of counts. A
client is a position in the ring: it costs what it is sent, and one that is stuck costs nothing.
"""

from __future__ import annotations

import functools
import os
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import anyio
import msgspec

from reactor.contracts.clock import Clock
from reactor.contracts.event import rfc3339
from reactor.contracts.facts import Fact
from reactor.contracts.observe import Listener
from reactor.contracts.text import clean, shown

FACTS = frozenset({
    "event.accepted", "run.started", "run.ended", "run.paused", "step.ended", "queue.pushed", "flow.loaded",
    "flow.refused", "flow.removed", "source.listening", "source.disconnected", "source.failing",
    "connection.opened", "connection.lost", "action.log", "store.full", "daemon.stopping",
})  # fmt: skip
TICK = 0.2
"""Seconds that a frame may be late."""
DETAIL = 50
"""Facts in a tick that are still told one by one."""
KEPT = 5_000
"""Frames that a client may be behind before it loses some."""
HEARTBEAT = 15.0
ABSENT = 60.0
"""Seconds for which frames are still made when no client is there: one that comes back misses nothing."""


class Frame(NamedTuple):
    """`event` is it as a server-sent event (WHATWG HTML), `message` as one JSON object {id, event, data}."""

    number: int
    fact: str
    flow: str | None
    event: bytes
    message: str


def frame(boot: str, number: int, fact: str, flow: str | None, text: str) -> Frame:
    """`text` is its data, JSON. A frame without number is told one client only and has no id."""
    id = f"{boot}-{number}" if number else None
    event = f"id: {id}\n" if id else ""
    message = f'{{"id":"{id}",' if id else "{"
    return Frame(
        number,
        fact,
        flow,
        f"{event}event: {fact}\ndata: {text}\n\n".encode(),
        f'{message}"event":"{fact}","data":{text}}}',
    )


def _encoded(body: dict[str, Any]) -> str:
    """The data of a frame as JSON; text in it that cannot be UTF-8 is shown, whoever put it there."""
    try:
        return msgspec.json.encode(body, enc_hook=str).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(clean(body), enc_hook=lambda other: shown(str(other))).decode()


class Feed:
    """Listens to facts. `mask` keeps secrets out of what is sent."""

    facts = FACTS

    def __init__(self, clock: Clock, mask: Callable[[str], str] | None = None) -> None:
        self._clock = clock
        self._mask = mask
        self.boot = os.urandom(4).hex()
        self._frames: deque[Frame] = deque(maxlen=KEPT)
        self._number = 0
        self._counts: dict[tuple[str, str | None, str | None], int] = {}
        self._details: list[tuple[float, Fact]] = []
        self._seen = 0
        self._dirty = anyio.Event()
        self._news = anyio.Event()
        self.closed = False
        self._forget = clock.monotonic() + ABSENT
        self.clients = 0

    def listener(self, kind: type[Fact]) -> Listener | None:
        if kind.NAME not in FACTS:
            return None
        fields = kind.__struct_fields__
        return functools.partial(self._hear, "flow" in fields, "status" in fields)

    def _hear(self, has_flow: bool, has_status: bool, fact: Any) -> None:
        """A fact of any kind, of which the listener knew whether it has a flow and a status."""
        if not self.clients and self._clock.monotonic() > self._forget:
            return
        self._seen += 1
        if self._seen <= DETAIL:
            self._details.append((self._clock.now(), fact))
            if self._seen == 1:
                self._dirty.set()
        key = (fact.NAME, fact.flow if has_flow else None, fact.status if has_status else None)
        self._counts[key] = self._counts.get(key, 0) + 1

    async def run(self) -> None:
        """Makes frames, until cancelled."""
        while True:
            await self._dirty.wait()
            await self._clock.sleep(TICK)
            self.tick()

    def tick(self) -> None:
        """Turns what was heard since the last tick into frames."""
        seen, details, counts = self._seen, self._details, self._counts
        self._seen, self._details, self._counts = 0, [], {}
        self._dirty = anyio.Event()
        if seen <= DETAIL:
            for at, fact in details:
                fields = fact.shown()
                self._frame(fact.NAME, fields.get("flow"), {"at": rfc3339(at), "fact": fact.NAME, **fields})
        else:
            items = [{"fact": f, "flow": w, "status": s, "count": n} for (f, w, s), n in counts.items()]
            body = {"at": rfc3339(self._clock.now()), "fact": "counts", "seconds": TICK, "total": seen}
            self._frame("counts", None, {**body, "counts": items})
        self._news.set()
        self._news = anyio.Event()

    def _frame(self, fact: str, flow: str | None, body: dict[str, Any]) -> None:
        text = _encoded(body)
        if self._mask is not None:
            text = self._mask(text)
        self._number += 1
        self._frames.append(frame(self.boot, self._number, fact, flow, text))

    def close(self) -> None:
        """Ends all that follow."""
        self.closed = True
        self._news.set()

    def position(self, last: str | None) -> tuple[int, bool]:
        """Where a client that had `last` goes on, and whether it missed a restart."""
        boot, _, number = (last or "").partition("-")
        if not last:
            return self._number, False
        if boot != self.boot or not re.fullmatch("[0-9]{1,18}", number):
            return self._frames[0].number - 1 if self._frames else self._number, True
        return min(int(number), self._number), False

    def follow(
        self, last: str | None, facts: frozenset[str] | None = None, flow: str | None = None
    ) -> AsyncGenerator[list[Frame], None]:
        """Frames from behind `last`, the id of one, or from now; an empty list every `HEARTBEAT` of silence."""
        return self._follow(*self.position(last), facts, flow)

    async def _follow(
        self, place: int, restarted: bool, facts: frozenset[str] | None, flow: str | None
    ) -> AsyncGenerator[list[Frame], None]:
        self.clients += 1
        try:
            if restarted:
                yield [frame(self.boot, 0, "restarted", None, "{}")]
            while not self.closed:
                news = self._news
                if place < self._number:
                    frames, place = self._since(place, facts, flow)
                    if frames:
                        yield frames
                    continue
                with anyio.move_on_after(HEARTBEAT) as scope:
                    await news.wait()
                if scope.cancelled_caught:
                    yield []
        finally:
            self.clients -= 1
            self._forget = self._clock.monotonic() + ABSENT

    def _since(self, place: int, facts: frozenset[str] | None, flow: str | None) -> tuple[list[Frame], int]:
        first = self._frames[0].number if self._frames else self._number + 1
        found = []
        if place + 1 < first:
            found.append(frame(self.boot, 0, "lost", None, f'{{"lost": {first - place - 1}}}'))
            place = first - 1
        for index in range(place + 1 - first, len(self._frames)):
            one = self._frames[index]
            wanted = facts is None or one.fact in facts or one.fact == "counts"
            if wanted and (flow is None or one.flow in (flow, None)):
                found.append(one)
        return found, self._number
