"""RabbitMQ: publish, with confirms."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any, ClassVar

import msgspec

from plugins.actions._message import raw
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed


class PublishOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind amqp, or its URL."""
    queue: str | None = None
    """A queue, through the default exchange,"""
    exchange: str | None = None
    """or an exchange with a routing key."""
    key: str = ""
    """The routing key."""
    data: Any = None
    """The message: a text as it is, anything else as JSON."""
    headers: dict[str, Any] = {}
    """Headers."""
    message_id: str | None = None
    """The message's identity; made of run and step unless given, so that a repeat has the same."""
    persistent: bool = True
    """Whether the broker keeps it on disk."""
    mandatory: bool = True
    """Whether a message that no queue takes fails the step."""
    expire: float | None = None
    """Seconds after which the message is dropped from its queue."""


class Publish:
    name = "amqp.publish"
    summary = "Publishes to a queue or an exchange; done when the broker has confirmed it."
    repeat = "keyed"
    needs: ClassVar[str | None] = None
    connection_kinds: ClassVar[tuple[str, ...]] = ("amqp",)
    Options = PublishOptions
    result_fields = ("exchange", "routing_key", "message_id")
    example = "call: amqp.publish\nwith: {connection: amqp://localhost, queue: mails, data: {to: a@shop.example}}"

    async def run(self, options: PublishOptions, context: ActionContext) -> Any:
        import aio_pika
        from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError

        if (options.queue is None) == (options.exchange is None):
            raise StepFailed("expression", "give one of queue and exchange", retryable=False)
        headers = dict(options.headers)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        id = options.message_id or hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
        plain = isinstance(options.data, str)
        message = aio_pika.Message(
            raw(options.data),
            headers=headers,
            message_id=id,
            content_type="text/plain" if plain else "application/json",
            content_encoding="utf-8",
            delivery_mode=2 if options.persistent else 1,
            expiration=options.expire,
            timestamp=datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC),
        )
        key = options.queue if options.queue is not None else options.key
        async with context.connection(options.connection) as client:
            try:
                if client.publisher.is_closed:
                    client.publisher = await client.connection.channel(publisher_confirms=True, on_return_raises=True)
                channel = client.publisher
                target = channel.default_exchange
                if options.exchange is not None:
                    target = await channel.get_exchange(options.exchange, ensure=False)
                await target.publish(message, routing_key=key, mandatory=options.mandatory, timeout=20)
            except PublishError:
                raise StepFailed("amqp.unroutable", f"no queue takes {key!r}", retryable=False) from None
            except ChannelNotFoundEntity as error:
                raise StepFailed("amqp.refused", str(error), retryable=False) from None
            except DeliveryError:
                raise StepFailed("amqp.refused", "the broker did not take the message") from None
            except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
                raise NotConnected(f"amqp: {error or type(error).__name__}") from None
        return {"exchange": options.exchange or "", "routing_key": key, "message_id": id}
