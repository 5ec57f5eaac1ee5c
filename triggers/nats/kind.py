"""NATS: JetStream consumers (none lost), core subjects (at most once) with request and reply, key-value buckets."""

from __future__ import annotations

import re

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from triggers.kit.position import position_problem
from triggers.nats.options import Options

_DURABLE = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Nats(TriggerKind[Options]):
    name = "nats"
    summary = "NATS: JetStream and key-value buckets (none lost), core subjects (at most once), replies by `respond`."
    connection_kinds = ("nats",)
    takes_messages = True
    example = "nats: {connection: nats://localhost, stream: ORDERS, durable: reactor}"
    event_type = "nats.message"
    event_fields = (
        "subject", "subject_bytes", "headers", "headers_all", "headers_bytes", "sequence", "key", "key_bytes",
        "operation",
    )  # fmt: skip
    identity = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        if options.stream is not None and options.bucket is not None:
            found.append(("stream", "one of stream and bucket"))
        if not options.jetstream and options.subject is None:
            found.append(("subject", "a subject, a stream or a bucket is given"))
        if options.jetstream and options.queue_group is not None:
            found.append(("queue_group", "queue_group is for core subjects; consumers share by `durable`"))
        if not _DURABLE.fullmatch(options.durable):
            found.append(("durable", "a consumer's name is made of letters, digits, _ and -"))
        given = [one for one in (options.subject, options.keys) if one is not None]
        found += [("subject", f"{s!r} is no subject") for s in given if not s or any(c.isspace() for c in s)]
        if options.deliveries < 1:
            found.append(("deliveries", "at least 1"))
        try:
            if parse_duration(options.ack_wait) < 1:
                found.append(("ack_wait", "at least 1s"))
        except DurationError as error:
            found.append(("ack_wait", str(error)))
        message = position_problem(options.start)
        return [*found, ("from", message)] if message else found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        if not options.jetstream:
            return None
        return f"the consumer {options.durable} of {options.stream or options.bucket} ({options.connection})"

    async def listen(self, ctx: TriggerContext) -> None:
        from nats.errors import Error

        from triggers.nats import consumer as _nats

        async with ctx.connection(self.options.connection) as client:
            try:
                if self.options.jetstream:
                    await _nats.listen_jetstream(ctx, client, self.options)
                else:
                    await _nats.listen_core(ctx, client, self.options)
            except* (Error, OSError, TimeoutError) as errors:
                raise _nats.fault(client, self.options, errors) from None
