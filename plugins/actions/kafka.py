"""Kafka: publish."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from plugins.actions._message import raw
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.event import rfc3339

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class PublishOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind kafka, or its URL."""
    topic: str
    """The topic."""
    data: Any = None
    """The message: a text as it is, null as a tombstone, anything else as JSON."""
    key: str | None = None
    """The key: messages of one key stay in order, in one partition."""
    headers: dict[str, str] = {}
    """Headers."""
    partition: int | None = None
    """The partition; by the key unless given."""


class Publish:
    name = "kafka.publish"
    summary = "Publishes to a topic; done when all replicas have it."
    repeat = "keyed"
    needs: ClassVar[str | None] = None
    connection_kinds: ClassVar[tuple[str, ...]] = ("kafka",)
    Options = PublishOptions
    result_fields = ("topic", "partition", "offset", "timestamp")
    example = (
        'call: kafka.publish\nwith: {connection: "kafka://localhost:9092", topic: orders, key: "7", data: {id: 7}}'
    )

    async def run(self, options: PublishOptions, context: ActionContext) -> Any:
        from aiokafka.errors import (
            InvalidTopicError,
            KafkaError,
            MessageSizeTooLargeError,
            RecordTooLargeError,
        )

        if not _TOPIC.fullmatch(options.topic):
            raise StepFailed("expression", f"{options.topic!r} is no topic", retryable=False)
        if options.data is None and options.key is None:
            raise StepFailed("expression", "give data, or a key for a tombstone", retryable=False)

        headers = dict(options.headers)
        headers.setdefault("reactor-key", context.idempotency_key)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        async with context.connection(options.connection) as client:
            try:
                made = await client.producer.send_and_wait(
                    options.topic,
                    value=None if options.data is None else raw(options.data),
                    key=None if options.key is None else options.key.encode(),
                    partition=options.partition,
                    headers=[(name, value.encode()) for name, value in headers.items()],
                )
            except (MessageSizeTooLargeError, RecordTooLargeError) as error:
                raise StepFailed("limit", f"kafka: {error}", retryable=False) from None
            except InvalidTopicError as error:
                raise StepFailed("kafka.refused", f"{error}", retryable=False) from None
            except (AssertionError, ValueError, TypeError) as error:
                raise StepFailed("expression", f"kafka: {error}", retryable=False) from None
            except KafkaError as error:
                if not error.retriable:
                    raise StepFailed("kafka.refused", f"{error}", retryable=False) from None
                raise NotConnected(f"kafka: {error}") from None
        return {
            "topic": made.topic,
            "partition": made.partition,
            "offset": made.offset,
            "timestamp": rfc3339(made.timestamp / 1000) if made.timestamp else None,
        }
