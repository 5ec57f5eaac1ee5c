"""How each mode of the nats trigger listens."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec

from reactor.contracts.durations import parse_duration
from reactor.contracts.errors import NotConnected, Refused
from reactor.contracts.event import Event
from triggers._acknowledge import Acknowledger
from triggers._decode import decode
from triggers._kept import Kept
from triggers._position import parse_time

BATCH = 500
FETCH = 2.0
"""Seconds that a fetch waits for messages."""
REPLY = 30.0
"""Seconds that a request waits for `respond`."""
AT_ONCE = 1000


def stream_of(options: Any) -> str:
    return options.stream if options.stream is not None else f"KV_{options.bucket}"


async def _until_gone(client: Any) -> None:
    await client.gone.wait()
    raise NotConnected("nats: the connection is lost")


async def listen_core(ctx: Any, client: Any, options: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_until_gone, client)

        async def received(message: Any) -> None:
            data, invalid = decode(message.data, options.decode)
            event = Event(
                type="nats.message", source=f"nats:{message.subject}", data=data, invalid=invalid,
                fields={"subject": message.subject, "headers": dict(message.headers or {}), "sequence": None},
            )  # fmt: skip
            if message.reply and ctx.responds() and invalid is None:
                group.start_soon(_answer, ctx, client, message, event)
            else:
                await ctx.offer(event)

        subscription = await client.connection.subscribe(options.subject, queue=options.queue_group or "", cb=received)
        await client.connection.flush(timeout=5)
        await ctx.ready()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                if not client.gone.is_set():
                    await subscription.unsubscribe()


async def _answer(ctx: Any, client: Any, message: Any, event: Event) -> None:
    """Request and reply: the flow's `respond` is the reply; an error is said in headers, as NATS services do."""
    headers: dict[str, str] = {}
    body = b""
    try:
        receipt = await ctx.emit(event, wait=REPLY)
        answered = next((one for one in receipt.outcomes or [] if one.response is not None), None)
        if answered is not None:
            content = answered.response["content"]
            body = content.encode() if isinstance(content, str) else msgspec.json.encode(content)
            headers = {str(name): str(value) for name, value in answered.response["headers"].items()}
        elif receipt.outcomes and all(one.status == "succeeded" for one in receipt.outcomes):
            body = msgspec.json.encode(receipt.outcomes[0].output)
        else:
            failed = next((one for one in receipt.outcomes or [] if one.error), None)
            text = (failed.error or {}).get("message", "failed") if failed is not None else "no answer in time"
            headers = {"Nats-Service-Error": str(text).replace("\n", " ")[:500], "Nats-Service-Error-Code": "500"}
    except Refused as error:
        headers = {"Nats-Service-Error": str(error)[:500], "Nats-Service-Error-Code": str(error.status)}
    if not client.gone.is_set():
        await client.connection.publish(message.reply, body, headers=headers or None)


async def _consumer(ctx: Any, client: Any, options: Any) -> tuple[Any, str, Kept]:
    """The durable consumer, made at the first time, and when its stream was made. `from` is meant once: a consumer that
    the server has no more goes on where this daemon was, and in a stream that was made anew at its beginning."""
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
    from nats.js.errors import NotFoundError

    stream = stream_of(options)
    subject = f"$KV.{options.bucket}.{options.keys}" if options.bucket is not None else options.subject
    made = await client.jetstream.stream_info(stream)
    created = str(getattr(made, "created", "") or "")
    place = (await ctx.cursor()).get("last")
    try:
        known = (await client.jetstream.consumer_info(stream, options.durable)).config
        if (known.filter_subject or None) != (subject if subject != ">" else known.filter_subject or None):
            raise NotConnected(
                f"nats: the consumer {options.durable} of {stream} reads {known.filter_subject}, not {subject}"
            )
    except NotFoundError:
        moment = parse_time(options.start)
        policy, first = DeliverPolicy.BY_START_SEQUENCE, made.state.last_seq + 1
        if place is not None:
            first = place[1] + 1 if place[0] == created else 1
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


async def listen_jetstream(ctx: Any, client: Any, options: Any) -> None:
    subscription, created, kept = await _consumer(ctx, client, options)
    waiting: dict[int, Any] = {}

    async def acknowledge(messages: list[Any]) -> None:
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

    async with anyio.create_task_group() as group:
        acknowledger = Acknowledger(acknowledge, AT_ONCE)
        for work in (acknowledger.run, extend, kept.run):
            group.start_soon(work)
        group.start_soon(_until_gone, client)
        await ctx.ready()
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=FETCH)
            except TimeoutError:
                ctx.lag(0)
                await client.jetstream.consumer_info(stream_of(options), options.durable)  # or it was deleted
                continue
            for message in messages:
                event = _event(message, options, created)
                waiting[message.metadata.sequence.stream] = message
                await acknowledger.add(await ctx.offer(event), (message, event.invalid is not None))
            ctx.lag(messages[-1].metadata.num_pending)


def _event(message: Any, options: Any, created: str) -> Event:
    meta = message.metadata
    sequence = meta.sequence.stream
    data, invalid = decode(message.data, options.decode)
    headers = dict(message.headers or {})
    fields: dict[str, Any] = {"subject": message.subject, "headers": headers, "sequence": sequence}
    if options.bucket is not None:
        fields["key"] = message.subject.removeprefix(f"$KV.{options.bucket}.")
        fields["operation"] = {"DEL": "delete", "PURGE": "purge"}.get(headers.get("KV-Operation", ""), "put")
        if fields["operation"] != "put":
            data, invalid = None, None
    if meta.num_delivered > options.deliveries:
        invalid = f"delivered {meta.num_delivered} times without an end"
    return Event(
        type="nats.message", source=f"nats:{stream_of(options)}", data=data, key=f"{created}/{sequence}",
        fields=fields, invalid=invalid,
    )  # fmt: skip
