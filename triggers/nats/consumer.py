"""How each mode of the nats trigger listens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import anyio
import msgspec
from nats.js import JetStreamContext

from reactor.contracts.errors import NotConnected, NotReady, Overloaded, Refused, leading
from reactor.contracts.event import Event
from reactor.contracts.text import is_text, named, shown
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import parse_duration
from triggers.kit.acknowledge import Acknowledger
from triggers.kit.decode import decode
from triggers.kit.kept import Kept
from triggers.kit.letters import base64_of, event_of, gap, headers_of
from triggers.kit.position import parse_time
from triggers.nats.lent import Lent, Message, Subscription
from triggers.nats.options import Options

BATCH = 500
FETCH = 2.0
"""Seconds that a fetch waits for messages."""
REPLY = 30.0
"""Seconds that a request waits for `respond`."""
AT_ONCE = 1000


def stream_of(options: Options) -> str:
    return options.stream if options.stream is not None else f"KV_{options.bucket}"


def fault(client: Lent, options: Options, error: BaseException) -> NotConnected | NotReady:
    """What the library raised: while the connection stands, it is this source's own matter."""
    from nats.errors import ConnectionClosedError
    from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    if client.gone.is_set() or isinstance(error, ConnectionClosedError):
        return NotConnected(f"nats: {error or type(error).__name__}")
    what = f"the stream {stream_of(options)}" if options.jetstream else f"the subject {options.subject}"
    if isinstance(error, NotFoundError):
        return NotReady(f"nats: {what}, or its consumer {options.durable}, does not exist")
    if isinstance(error, ServiceUnavailableError):
        return NotReady(f"nats: {what}: the server has no JetStream, or this user has no right to it")
    if isinstance(error, APIError):
        return NotReady(f"nats: {what}: {error.description or error}")
    if isinstance(error, TimeoutError):
        denied = f" ({client.connection.denied})" if client.connection.denied else ""
        return NotReady(f"nats: {what}: no answer in time{denied}")
    if isinstance(error, OSError):
        return NotConnected(f"nats: {error}")
    return NotReady(f"nats: {what}: {error or type(error).__name__}")


async def _until_gone(client: Lent) -> None:
    await client.gone.wait()
    raise NotConnected("nats: the connection is lost")


async def listen_core(ctx: TriggerContext, client: Lent, options: Options) -> None:
    from nats.errors import SlowConsumerError

    subject = options.subject or ""
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    subscription: Subscription | None = None

    def heard(error: Exception) -> None:
        """The server took the right to the subject away, or the library dropped what nobody could take."""
        if isinstance(error, SlowConsumerError):
            if subscription is not None and error.sub is subscription:
                ctx.warn(f"nats: messages of {subject} were dropped: they came faster than they can be stored")
        elif f'for subscription to "{subject.lower()}"' in str(error) and not refused.done():
            refused.set_result(str(error))

    async def until_refused() -> None:
        reason = await refused
        gap(ctx, f"{reason}; messages until it is allowed again are lost")
        raise NotReady(reason)

    async with anyio.create_task_group() as group:
        group.start_soon(_until_gone, client)

        async def received(message: Message) -> None:
            event = _core_event(message, options)
            if message.reply and ctx.responds() and event.invalid is None and is_text(message.reply):
                group.start_soon(_answer, ctx, client, message, event)
            else:
                await ctx.offer(event)

        client.connection.hear.add(heard)
        subscription = await client.connection.subscribe(subject, queue=options.queue_group or "", cb=received)
        try:
            await client.connection.flush(timeout=5)
            if refused.done():
                raise NotReady(refused.result())
            group.start_soon(until_refused)
            await ctx.ready()
            await anyio.sleep_forever()
        finally:
            client.connection.hear.discard(heard)
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                if not client.gone.is_set():
                    await subscription.unsubscribe()


def _core_event(message: Message, options: Options) -> Event:
    source = f"nats:{shown(message.subject)}"

    def make() -> Event:
        data, invalid = decode(message.data, options.decode)
        fields = {**named("subject", message.subject), **headers_of(message.pairs), "sequence": None}
        return Event(type="nats.message", source=source, data=data, invalid=invalid, fields=fields)

    def letter() -> Event:
        fields = named("subject", message.subject)
        return Event(type="nats.message", source=source, data=base64_of(message.data), fields=fields)

    return event_of(make, letter, f"the subject {shown(message.subject)}")


async def _answer(ctx: TriggerContext, client: Lent, message: Message, event: Event) -> None:
    """Request and reply: the flow's `respond` is the reply; an error is said in headers, as NATS services do."""
    headers: dict[str, str] = {}
    body = b""
    try:
        receipt = await ctx.emit(event, wait=REPLY)
        answered = next((one.response for one in receipt.outcomes or [] if one.response is not None), None)
        if answered is not None:
            content = answered["content"]
            body = shown(content).encode() if isinstance(content, str) else msgspec.json.encode(content)
            headers = {str(name): str(value) for name, value in answered["headers"].items()}
        elif receipt.outcomes and all(one.status == "succeeded" for one in receipt.outcomes):
            body = msgspec.json.encode(receipt.outcomes[0].output)
        else:
            failed = next((one for one in receipt.outcomes or [] if one.error), None)
            text = (failed.error or {}).get("message", "failed") if failed is not None else "no answer in time"
            headers = {"Nats-Service-Error": str(text).replace("\n", " ")[:500], "Nats-Service-Error-Code": "500"}
    except Refused as error:
        headers = {"Nats-Service-Error": str(error)[:500], "Nats-Service-Error-Code": str(error.status)}
    except Overloaded:
        return  # stopped: the one who asked tries again
    if not client.gone.is_set():
        await _reply(ctx, client, message.reply, body, headers)


async def _reply(ctx: TriggerContext, client: Lent, to: str, body: bytes, headers: dict[str, str]) -> None:
    """A reply that cannot be sent is a matter of this one request."""
    from nats.errors import Error

    try:
        await client.connection.publish(to, body, headers=headers or None)
    except (Error, ValueError) as error:
        ctx.warn(f"nats: a reply was not sent: {error or type(error).__name__}")
        reason = {"Nats-Service-Error": "the reply cannot be sent", "Nats-Service-Error-Code": "500"}
        with contextlib.suppress(Error, ValueError):
            await client.connection.publish(to, b"", headers=reason)


async def _consumer(
    ctx: TriggerContext, client: Lent, options: Options
) -> tuple[JetStreamContext.PullSubscription, str, Kept[list[Any] | None]]:
    """The durable consumer, made at the first time, and when its stream was made. `from` is meant once: a consumer that
    the server has no more goes on where this daemon was, and in a stream that was made anew at its beginning."""
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
    from nats.js.errors import NotFoundError

    stream = stream_of(options)
    subject = f"$KV.{options.bucket}.{options.keys}" if options.bucket is not None else options.subject
    try:
        made = await client.jetstream.stream_info(stream)
    except NotFoundError:
        raise NotReady(f"nats: there is no stream {stream}") from None
    created = str(getattr(made, "created", "") or "")
    place = (await ctx.cursor()).get("last")
    try:
        known = (await client.jetstream.consumer_info(stream, options.durable)).config
        if (known.filter_subject or None) != (subject if subject != ">" else known.filter_subject or None):
            raise NotReady(
                f"nats: the consumer {options.durable} of {stream} reads {known.filter_subject}, not {subject}"
            )
    except NotFoundError:
        moment = parse_time(options.start)
        policy, first = DeliverPolicy.BY_START_SEQUENCE, made.state.last_seq + 1
        if place is not None:
            first = place[1] + 1 if place[0] == created else 1
            gap(ctx, _what_is_gone(stream, options, place[0] == created))
        elif options.start == "earliest":
            first = 1
        elif moment is not None:
            policy = DeliverPolicy.BY_START_TIME
        config = ConsumerConfig(
            durable_name=options.durable, ack_policy=AckPolicy.EXPLICIT, deliver_policy=policy,
            ack_wait=parse_duration(options.ack_wait), filter_subject=subject, max_ack_pending=4 * AT_ONCE,
        )  # fmt: skip
        if policy is DeliverPolicy.BY_START_SEQUENCE:
            config.opt_start_seq = first
            place = [created, first - 1]
            await ctx.move({"last": place})
        elif moment is not None:
            import datetime

            start = datetime.datetime.fromtimestamp(moment, datetime.UTC)
            config.opt_start_time = start.isoformat().replace("+00:00", "Z")  # type: ignore[assignment]
        await client.jetstream.add_consumer(stream, config)
    subscription = await client.jetstream.pull_subscribe_bind(durable=options.durable, stream=stream)
    return subscription, created, Kept(ctx, place)


def _what_is_gone(stream: str, options: Options, same: bool) -> str:
    if same:
        return f"nats: the consumer {options.durable} of {stream} was deleted; it is made anew where this daemon was"
    return f"nats: the stream {stream} was deleted and made anew; what was in it and was not read is lost"


async def listen_jetstream(ctx: TriggerContext, client: Lent, options: Options) -> None:
    subscription, created, kept = await _consumer(ctx, client, options)
    waiting: dict[int, Message] = {}

    async def acknowledge(messages: list[tuple[Message, bool]]) -> None:
        for message, poison in messages:
            waiting.pop(message.metadata.sequence.stream, None)
            if not client.gone.is_set():
                await (message.term() if poison else message.ack())
        behind = max(message.metadata.sequence.stream for message, _ in messages)
        if kept.place is None or kept.place[0] != created or behind > kept.place[1]:
            kept.place = [created, behind]

    async def extend() -> None:
        """What waits for the store is not delivered again meanwhile."""
        while True:
            await ctx.clock.sleep(parse_duration(options.ack_wait) / 3)
            for message in list(waiting.values()):
                await message.in_progress()

    async with kept.to_the_end(), anyio.create_task_group() as group:
        acknowledger = Acknowledger(acknowledge, AT_ONCE)
        for work in (acknowledger.run, extend, kept.run):
            group.start_soon(work)
        group.start_soon(_until_gone, client)
        await ctx.ready()
        while True:
            messages: list[Message] = []
            with contextlib.suppress(TimeoutError):
                messages = cast("list[Message]", await subscription.fetch(BATCH, timeout=FETCH))
            if not messages:
                ctx.lag(0)
                await client.jetstream.consumer_info(stream_of(options), options.durable)  # or it was deleted
                continue
            for message in messages:
                event = _event(message, options, created)
                waiting[message.metadata.sequence.stream] = message
                await acknowledger.add(await ctx.offer(event), (message, event.invalid is not None))
            ctx.lag(messages[-1].metadata.num_pending)


def _event(message: Message, options: Options, created: str) -> Event:
    meta = message.metadata
    sequence = meta.sequence.stream
    source, key = f"nats:{stream_of(options)}", f"{created}/{sequence}"

    def make() -> Event:
        data, invalid = decode(message.data, options.decode)
        fields = {**named("subject", message.subject), **headers_of(message.pairs), "sequence": sequence}
        if options.bucket is not None:
            fields |= named("key", message.subject.removeprefix(f"$KV.{options.bucket}."))
            operation = fields["headers"].get("KV-Operation")
            fields["operation"] = {"DEL": "delete", "PURGE": "purge"}.get(operation or "", "put")
            if fields["operation"] != "put":
                data, invalid = None, None
        if meta.num_delivered > options.deliveries:
            invalid = f"delivered {meta.num_delivered} times without an end"
        return Event(type="nats.message", source=source, data=data, key=key, fields=fields, invalid=invalid)

    def letter() -> Event:
        fields = {**named("subject", message.subject), "sequence": sequence}
        return Event(type="nats.message", source=source, data=base64_of(message.data), key=key, fields=fields)

    return event_of(make, letter, f"the stream {stream_of(options)}, sequence {sequence}")
