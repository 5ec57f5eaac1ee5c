"""Kafka: publish."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from plugins.actions._message import raw, sendable
from plugins.connections.kafka import Client
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.kinds import ActionKind
from reactor.contracts.text import shown

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


class Publish(ActionKind[PublishOptions]):
    name = "kafka.publish"
    summary = "Publishes to a topic; done when all replicas have it."
    repeat = "keyed"
    connection_kinds = ("kafka",)
    Options = PublishOptions
    result_fields = ("topic", "partition", "offset", "timestamp")
    example = (
        'call: kafka.publish\nwith: {connection: "kafka://localhost:9092", topic: orders, key: "7", data: {id: 7}}'
    )

    async def run(self, options: PublishOptions, context: ActionContext) -> object:
        from aiokafka.errors import KafkaError

        if not _TOPIC.fullmatch(options.topic):
            raise StepFailed("expression", f"{shown(options.topic)!r} is not the name of a topic", retryable=False)
        if options.data is None and options.key is None:
            raise StepFailed("expression", "give data, or a key for a tombstone", retryable=False)
        value = None if options.data is None else raw(options.data)
        key = None if options.key is None else sendable("the key", options.key, line=False).encode()
        headers = dict(options.headers)
        headers.setdefault("reactor-key", context.idempotency_key)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        pairs = [
            (sendable("the header's name", name, line=False), sendable(f"the header {name}", one, line=False).encode())
            for name, one in headers.items()
        ]
        async with context.connection(options.connection) as client:
            try:
                made = await client.producer.send_and_wait(
                    options.topic, value=value, key=key, partition=options.partition, headers=pairs
                )
            except (KafkaError, AssertionError, ValueError, TypeError, OSError) as error:
                raise await _failure(client, options.topic, error) from None
        return {
            "topic": made.topic,
            "partition": made.partition,
            "offset": made.offset,
            "timestamp": rfc3339(made.timestamp / 1000) if made.timestamp and made.timestamp > 0 else None,
        }


async def _failure(client: Client, topic: str, error: Exception) -> StepFailed | NotConnected:
    """What the library raised, as a step sees it. The producer, which all share, is only given up when the brokers do
    not answer, or when it can send nothing more."""
    from aiokafka import errors

    if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordTooLargeError):
        return StepFailed("limit", f"kafka: {error}", retryable=False)
    if isinstance(error, errors.KafkaConnectionError | OSError):
        return NotConnected(f"kafka: {error or type(error).__name__}")
    spent = (
        errors.ProducerClosed, errors.ProducerFenced, errors.InvalidProducerEpoch, errors.OutOfOrderSequenceNumber,
        errors.UnknownProducerId, errors.ClusterAuthorizationFailedError,
    )  # fmt: skip
    if isinstance(error, spent):
        return NotConnected(f"kafka: the producer can send nothing more: {error or type(error).__name__}")
    if not isinstance(error, errors.KafkaError):
        return StepFailed("expression", f"kafka: {error}", retryable=False)
    if not error.retriable:
        return StepFailed("kafka.refused", f"the topic {topic}: {error or type(error).__name__}", retryable=False)
    try:
        await client.producer.client.fetch_all_metadata()
    except (errors.KafkaError, OSError, TimeoutError):
        return NotConnected(f"kafka: {error or type(error).__name__}")
    return StepFailed("kafka.failed", f"the topic {topic}: {error or type(error).__name__}")
