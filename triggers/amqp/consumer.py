"""How the amqp trigger consumes: a channel of its own on the shared connection, acknowledging in order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NoReturn, Protocol

import anyio
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPChannelError

from reactor.contracts.errors import NotConnected, NotReady, leading
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.text import named, shown
from reactor.contracts.trigger import TriggerContext
from triggers.amqp.frames import tolerate, undecodable
from triggers.amqp.options import Options
from triggers.kit.acknowledge import Acknowledger
from triggers.kit.decode import decode
from triggers.kit.letters import base64_of, event_of, gap, plain


class Lent(Protocol):
    """What a connection of the kind amqp lends."""

    @property
    def connection(self) -> AbstractConnection: ...

    @property
    def gone(self) -> anyio.Event: ...


def fault(client: Lent, options: Options, error: BaseException) -> NotConnected | NotReady:
    """What the library raised: a channel that the broker closed is this source's own matter."""
    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    if client.gone.is_set() or isinstance(error, OSError):
        return NotConnected(f"amqp: {error or type(error).__name__}")
    if isinstance(error, AMQPChannelError):
        return NotReady(f"amqp: the queue {options.queue}: {said(error)}")
    return NotReady(f"amqp: the queue {options.queue}: {type(error).__name__}: {error}")


def said(error: BaseException) -> str:
    """The broker's words."""
    return next((str(part) for part in reversed(error.args) if isinstance(part, str)), str(error))


async def listen(ctx: TriggerContext, client: Lent, options: Options) -> None:
    tolerate()
    channel = await client.connection.channel(publisher_confirms=False)
    wire = await channel.get_underlay_channel()
    arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
    closed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def on_closed(_: object, error: BaseException | None = None) -> None:
        if not closed.done():
            closed.set_result(error)

    async def acknowledge(messages: list[tuple[int, bool]]) -> None:
        good = None
        for tag, poison in messages:
            if poison:
                await wire.basic_reject(tag, requeue=False)
            else:
                good = tag
        if good is not None:
            await wire.basic_ack(good, multiple=True)

    async def until_closed() -> None:
        error = await closed
        if isinstance(error, AMQPChannelError):
            raise error
        raise NotConnected("amqp: the connection is lost")

    channel.close_callbacks.add(on_closed)
    wire.on_consumer_cancel_callbacks.add(lambda _: arrived.put_nowait(None))
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
            await wire.basic_consume(options.queue, arrived.put)
            await ctx.ready()
            while True:
                message = await arrived.get()
                if message is None:
                    await _taken_away(ctx, acknowledger, options)
                event = event_of_message(message, options)
                poison = event.invalid is not None
                await acknowledger.add(await ctx.offer(event), (message.delivery_tag or 0, poison))
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(3), contextlib.suppress(Exception):
            await channel.close()


async def _taken_away(ctx: TriggerContext, acknowledger: Acknowledger[tuple[int, bool]], options: Options) -> NoReturn:
    """The broker ended the subscription (Basic.Cancel): the queue was deleted, or its node is gone."""
    with anyio.move_on_after(5):
        await acknowledger.quiet()
    text = f"amqp: the queue {options.queue} was deleted, or the broker ended the subscription"
    gap(ctx, f"{text}; messages that were in it, or came before it is there again, are lost")
    raise NotReady(text)


def event_of_message(message: DeliveredMessage, options: Options) -> Event:
    """`message` is aiormq's, not aio_pika's, which raises for properties that are odd."""
    source = f"amqp:{options.queue}"
    routing = message.routing_key or ""
    place = f"the queue {options.queue}, routing key {shown(routing)}, delivery {message.delivery_tag}"
    reason = undecodable(message)

    def make() -> Event:
        if reason is not None:
            raise ValueError(f"its properties cannot be decoded ({reason})")
        data, invalid = decode(message.body, options.decode)
        properties = message.header.properties
        headers, escaped = _headers(properties.headers or {})
        trace = headers.get("traceparent")
        id = properties.message_id
        return Event(
            type="amqp.message", source=source, data=data, key=None if id is None else shown(id),
            time=properties.timestamp.timestamp() if properties.timestamp else None,
            extensions={"traceparent": trace} if isinstance(trace, str) else {},
            fields={
                **where(), "headers": headers, **({"headers_bytes": escaped} if escaped else {}),
                **({"message_id": None} if id is None else named("message_id", id)),
            },
            invalid=invalid,
        )  # fmt: skip

    def where() -> dict[str, Any]:
        return {
            **named("exchange", message.exchange or ""), **named("routing_key", routing),
            "redelivered": bool(message.redelivered),
        }  # fmt: skip

    def letter() -> Event:
        return Event(type="amqp.message", source=source, data=base64_of(message.body), fields=where())

    return event_of(make, letter, place)


def _headers(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The headers as data, and what of their own texts is not UTF-8, in base64."""
    headers = {shown(name): _plain(value) for name, value in given.items()}
    odd = {shown(name): value for name, value in given.items() if isinstance(value, bytes) and not plain(value)}
    return headers, {name: base64_of(value) for name, value in odd.items()}


def _plain(value: object) -> Any:
    """A header's value as data."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | bytes | bytearray):
        return shown(bytes(value) if isinstance(value, bytearray) else value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {shown(name): _plain(one) for name, one in value.items()}
    return rfc3339(value.timestamp()) if hasattr(value, "timestamp") else str(value)
