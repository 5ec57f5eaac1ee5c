"""Kafka topics, by consumer groups."""

from __future__ import annotations

import re

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from triggers.kafka.options import Options
from triggers.kit.position import position_problem

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Kafka(TriggerKind[Options]):
    name = "kafka"
    summary = "Messages of Kafka topics, by a consumer group; offsets are committed after the events are durable."
    connection_kinds = ("kafka",)
    takes_messages = True
    example = 'kafka: {connection: "kafka://localhost:9092", topic: orders, group: reactor}'
    event_type = "kafka.message"
    event_fields = (
        "key", "key_bytes", "headers", "headers_all", "headers_bytes", "topic", "partition", "offset", "timestamp",
    )  # fmt: skip
    identity = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        if bool(options.topics) == bool(options.pattern):
            found.append(("topic", "one of topic and pattern"))
        found += [("topic", f"{topic!r} is no topic") for topic in options.topics if not _TOPIC.fullmatch(topic)]
        if options.pattern is not None:
            try:
                re.compile(options.pattern)
            except re.error as error:
                found.append(("pattern", f"{options.pattern!r} is no regular expression: {error}"))
        if not options.group or not 1 <= options.batch <= 10_000:
            found.append(("batch", "batch is from 1 to 10,000, and the group has a name"))
        message = position_problem(options.start)
        return [*found, ("from", message)] if message else found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        topics = options.pattern or ", ".join(sorted(options.topics))
        return f"the group {options.group} of the topic {topics} ({options.connection})"

    async def listen(self, ctx: TriggerContext) -> None:
        from aiokafka.errors import KafkaError

        from triggers.kafka import consumer as _kafka

        async with ctx.connection(self.options.connection) as client:
            settings = client.settings
        # from here on a connection of its own: what happens to it does not touch those who publish
        try:
            await _kafka.listen(ctx, settings, self.options)
        except* (KafkaError, OSError, TimeoutError) as errors:
            raise _kafka.fault(self.options, errors) from None
