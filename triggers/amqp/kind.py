"""Queues of a RabbitMQ broker."""

from __future__ import annotations

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from triggers.amqp.options import Options


class Amqp(TriggerKind[Options]):
    name = "amqp"
    summary = "Messages of a RabbitMQ queue; acknowledged after the events are durable."
    connection_kinds = ("amqp",)
    takes_messages = True
    example = "amqp: {connection: amqp://localhost, queue: orders, bind: {exchange: shop, keys: ['order.*']}}"
    event_type = "amqp.message"
    event_fields = (
        "exchange", "exchange_bytes", "routing_key", "routing_key_bytes", "redelivered", "headers", "headers_bytes",
        "message_id", "message_id_bytes",
    )  # fmt: skip
    identity = False

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        if not options.queue or len(options.queue.encode()) > 255 or options.queue.startswith("amq."):
            found.append(("queue", f"{options.queue!r} is no name of a queue"))
        if not 1 <= options.prefetch <= 10_000:
            found.append(("prefetch", "prefetch is from 1 to 10,000"))
        return found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        return f"the queue {options.queue} ({options.connection})"

    async def listen(self, ctx: TriggerContext) -> None:
        from aiormq.exceptions import AMQPError

        from triggers.amqp import consumer as _amqp

        async with ctx.connection(self.options.connection) as client:
            try:
                await _amqp.listen(ctx, client, self.options)
            except* (AMQPError, OSError, RuntimeError) as errors:
                raise _amqp.fault(client, self.options, errors) from None
