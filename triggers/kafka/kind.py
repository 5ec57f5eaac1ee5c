"""Kafka topics, by consumer groups."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from triggers.kit.decode import Decode
from triggers.kit.position import position_problem
from triggers.kit.shared import Kind

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind kafka, or its URL."""
    topic: str | list[str] | None = None
    """A topic, or several,"""
    pattern: str | None = None
    """or all topics whose names fit a regular expression."""
    group: str = "reactor"
    """The consumer group; daemons of one group share the partitions."""
    start: str = msgspec.field(name="from", default="latest")
    """Where a new group begins: latest, earliest or an RFC 3339 time. Meant once."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""
    batch: int = 500
    """The most messages that are taken at once."""

    @property
    def topics(self) -> list[str]:
        return [self.topic] if isinstance(self.topic, str) else list(self.topic or [])


class Kafka(Kind):
    name = "kafka"
    summary = "Messages of Kafka topics, by a consumer group; offsets are committed after the events are durable."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("kafka",)
    example = 'kafka: {connection: "kafka://localhost:9092", topic: orders, group: reactor}'
    event_type = "kafka.message"
    identity = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
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
    def claim(cls, options: Any) -> str | None:
        topics = options.pattern or ", ".join(sorted(options.topics))
        return f"the group {options.group} of the topic {topics} ({options.connection})"

    async def listen(self, ctx: Any) -> None:
        from aiokafka.errors import KafkaError

        from triggers.kafka import consumer as _kafka

        async with ctx.connection(self.options.connection) as client:
            settings = client.settings
        # from here on a connection of its own: what happens to it is no matter of those who publish
        try:
            await _kafka.listen(ctx, settings, self.options)
        except* (KafkaError, OSError, TimeoutError) as errors:
            raise _kafka.fault(self.options, errors) from None
