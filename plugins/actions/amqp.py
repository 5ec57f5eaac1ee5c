"""RabbitMQ: publish, with confirms."""

from __future__ import annotations

import datetime
import hashlib
import struct
from typing import Any

import msgspec

from plugins.actions._message import raw, sendable
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ActionKind

LONGEST_NAME = 128
"""Bytes of a header's name (AMQP 0-9-1, 4.2.5.5); the library cuts a longer one in silence."""


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


class Publish(ActionKind[PublishOptions]):
    name = "amqp.publish"
    summary = "Publishes to a queue or an exchange; done when the broker has confirmed it."
    repeat = "keyed"
    connection_kinds = ("amqp",)
    Options = PublishOptions
    result_fields = ("exchange", "routing_key", "message_id")
    example = "call: amqp.publish\nwith: {connection: amqp://localhost, queue: mails, data: {to: a@shop.example}}"

    async def run(self, options: PublishOptions, context: ActionContext) -> object:
        from aiormq.exceptions import AMQPChannelError, AMQPError, DeliveryError, PublishError

        id = options.message_id or hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
        message = _message(options, context, id)
        exchange, key = _target(options)
        async with context.connection(options.connection) as client:
            try:
                async with client.channel() as channel:
                    target = channel.default_exchange
                    if exchange:
                        target = await channel.get_exchange(exchange, ensure=False)
                    await target.publish(message, routing_key=key, mandatory=options.mandatory, timeout=20)
            except PublishError:
                raise StepFailed("amqp.unroutable", f"no queue takes {key!r}", retryable=False) from None
            except DeliveryError:
                raise StepFailed("amqp.refused", "the broker did not take the message") from None
            except AMQPChannelError as error:
                raise StepFailed("amqp.refused", str(error), retryable=False) from None
            except TimeoutError:
                if client.gone.is_set():
                    raise NotConnected("amqp: the connection is lost") from None
                raise StepFailed("amqp.timeout", "the broker did not confirm the message in 20 s") from None
            except (AMQPError, OSError, RuntimeError) as error:
                if client.gone.is_set() or isinstance(error, OSError):
                    raise NotConnected(f"amqp: {error or type(error).__name__}") from None
                raise StepFailed("amqp.failed", f"{error or type(error).__name__}") from None
        return {"exchange": exchange, "routing_key": key, "message_id": id}


def _target(options: PublishOptions) -> tuple[str, str]:
    """Exchange and routing key. Raises StepFailed for what the protocol has no place for."""
    from pamqp import commands

    if (options.queue is None) == (options.exchange is None):
        raise StepFailed("expression", "give one of queue and exchange", retryable=False)
    exchange, key = options.exchange or "", options.queue if options.queue is not None else options.key
    sendable("the exchange", exchange, line=False)
    sendable("the routing key", key, line=False)
    try:
        commands.Basic.Publish(exchange=exchange, routing_key=key).marshal()
    except (ValueError, TypeError, struct.error) as error:
        raise StepFailed("expression", f"the message cannot be addressed: {error}", retryable=False) from None
    return exchange, key


def _message(options: PublishOptions, context: ActionContext, id: str) -> object:
    """Raises StepFailed for headers and properties that the protocol has no place for."""
    import aio_pika

    headers = dict(options.headers)
    if context.traceparent is not None:
        headers.setdefault("traceparent", context.traceparent)
    for name in headers:
        if len(sendable("the header's name", name).encode()) > LONGEST_NAME:
            raise StepFailed("expression", f"the header's name {name[:40]!r} is too long", retryable=False)
    body = raw(options.data)
    try:
        message = aio_pika.Message(
            body,
            headers=headers,
            message_id=id,
            content_type="text/plain" if isinstance(options.data, str) else "application/json",
            content_encoding="utf-8",
            delivery_mode=2 if options.persistent else 1,
            expiration=options.expire,
            timestamp=datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC),
        )
        message.properties.marshal()
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        reason = f"its headers or properties cannot be sent: {error}"
        raise StepFailed("expression", reason, retryable=False) from None
    return message
