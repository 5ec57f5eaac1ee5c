"""Queues of a RabbitMQ broker."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from triggers.kit.decode import Decode
from triggers.kit.shared import Kind


class Bind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    exchange: str
    keys: list[str] = msgspec.field(default_factory=lambda: [""])
    """Routing keys; patterns for a topic exchange."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind amqp, or its URL."""
    queue: str
    """The queue; made, durable, when it is not there."""
    bind: Bind | None = None
    """`exchange` (which must be there) and routing `keys` that the queue is bound to."""
    prefetch: int = 100
    """Messages that the broker may send before we acknowledge one."""
    arguments: dict[str, Any] = {}
    """Arguments of a queue that is made, such as `x-queue-type: quorum` or `x-dead-letter-exchange`."""
    declare: bool = True
    """False takes the queue as it is, and fails when it is not there."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""


class Amqp(Kind):
    name = "amqp"
    summary = "Messages of a RabbitMQ queue; acknowledged after the events are durable."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("amqp",)
    example = "amqp: {connection: amqp://localhost, queue: orders, bind: {exchange: shop, keys: ['order.*']}}"
    event_type = "amqp.message"
    identity = False

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        found = []
        if not options.queue or len(options.queue.encode()) > 255 or options.queue.startswith("amq."):
            found.append(("queue", f"{options.queue!r} is no name of a queue"))
        if not 1 <= options.prefetch <= 10_000:
            found.append(("prefetch", "prefetch is from 1 to 10,000"))
        return found

    @classmethod
    def claim(cls, options: Any) -> str | None:
        return f"the queue {options.queue} ({options.connection})"

    async def listen(self, ctx: Any) -> None:
        from aiormq.exceptions import AMQPError

        from triggers.amqp import consumer as _amqp

        async with ctx.connection(self.options.connection) as client:
            try:
                await _amqp.listen(ctx, client, self.options)
            except* (AMQPError, OSError, RuntimeError) as errors:
                raise _amqp.fault(client, self.options, errors) from None
