"""Queues of a RabbitMQ broker."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import anyio
import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.event import Event, rfc3339
from triggers._acknowledge import Acknowledger
from triggers._decode import Decode, decode, text
from triggers._shared import Kind, not_connected


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

        async with ctx.connection(self.options.connection) as client:
            try:
                await self._listen(ctx, client)
            except* (AMQPError, OSError, RuntimeError) as errors:
                raise not_connected("amqp", errors) from None

    async def _listen(self, ctx: Any, client: Any) -> None:
        options = self.options
        channel = await client.connection.channel(publisher_confirms=False)
        closed = anyio.Event()
        channel.close_callbacks.add(lambda *_: closed.set())

        async def acknowledge(messages: list[Any]) -> None:
            good = None
            for message, poison in messages:
                if poison:
                    await message.reject(requeue=False)
                else:
                    good = message
            if good is not None:
                await good.ack(multiple=True)

        async def until_closed() -> None:
            await closed.wait()
            raise NotConnected("amqp: the connection is lost")

        try:
            await channel.set_qos(prefetch_count=options.prefetch)
            queue = await channel.declare_queue(
                options.queue, durable=True, arguments=options.arguments or None, passive=not options.declare
            )
            if options.bind is not None:
                for key in options.bind.keys:
                    await queue.bind(options.bind.exchange, routing_key=key)
            async with anyio.create_task_group() as group:
                acknowledger = Acknowledger(acknowledge, options.prefetch)
                group.start_soon(acknowledger.run)
                group.start_soon(until_closed)
                async with queue.iterator() as messages:
                    await ctx.ready()
                    async for message in messages:
                        event = self._event(message)
                        await acknowledger.add(await ctx.offer(event), (message, event.invalid is not None))
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(3), contextlib.suppress(Exception):
                await channel.close()

    def _event(self, message: Any) -> Event:
        data, invalid = decode(message.body, self.options.decode)
        headers = {name: _plain(value) for name, value in (message.headers or {}).items()}
        trace = headers.get("traceparent")
        return Event(
            type="amqp.message",
            source=f"amqp:{self.options.queue}",
            data=data,
            key=message.message_id,
            time=message.timestamp.timestamp() if message.timestamp else None,
            extensions={"traceparent": trace} if isinstance(trace, str) else {},
            fields={
                "exchange": message.exchange,
                "routing_key": message.routing_key,
                "headers": headers,
                "message_id": message.message_id,
                "redelivered": bool(message.redelivered),
            },
            invalid=invalid,
        )


def _plain(value: Any) -> Any:
    """A header's value as data."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return rfc3339(value.timestamp()) if hasattr(value, "timestamp") else str(value)
