"""A named durable queue of the store: what the `queue` verb (or the API) pushed, in order, so many at once."""

from __future__ import annotations

import msgspec

from reactor.contracts.event import Event, rfc3339
from reactor.contracts.kinds import TriggerKind
from reactor.contracts.store import QUEUE_NAME
from reactor.contracts.trigger import TriggerContext

MOST = 1000


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    """The queue."""
    at_once: int = 5
    """How many messages may have runs that have not ended."""


class Queue(TriggerKind[Options]):
    name = "queue"
    summary = "Messages of a named durable queue, in order, so many at once."
    example = "queue: mails"
    event_type = "queue.message"
    identity = True
    event_fields = ("queue", "message", "pushed")
    takes_messages = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, object]:
        return {"name": text.strip()}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        if not QUEUE_NAME.fullmatch(options.name):
            found.append(("name", f"the queue {options.name!r} is not made of a-z, 0-9, ., _ and -"))
        if not 1 <= options.at_once <= MOST:
            found.append(("at_once", f"at_once is from 1 to {MOST:,}"))
        return found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        return f"the queue {options.name}"

    async def listen(self, ctx: TriggerContext) -> None:
        options = self.options
        await ctx.ready()
        while True:
            for message in await ctx.take(options.name, options.at_once):
                event = Event(
                    type="queue.message",
                    source=f"/queues/{options.name}",
                    data=message.data,
                    invalid=message.invalid,
                    key=message.id,
                    cause=message.cause,
                    fields={"queue": options.name, "message": message.id, "pushed": rfc3339(message.at)},
                )
                await ctx.emit(event, taken=message.id)
