"""MQTT: publish."""

from __future__ import annotations

from typing import Any

import msgspec

from plugins.actions._message import raw, sendable
from plugins.connections.mqtt import Client
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ActionKind


class PublishOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind mqtt, or its URL."""
    topic: str
    """The topic, without + and #."""
    data: Any = ""
    """The message: a text as it is, anything else as JSON."""
    qos: int = 1
    """0 (at most once), 1 or 2."""
    retain: bool = False
    """Whether the broker keeps it for those who subscribe later; an empty text takes it away again."""
    headers: dict[str, str] = {}
    """User properties (MQTT 5)."""


class Publish(ActionKind[PublishOptions]):
    name = "mqtt.publish"
    summary = "Publishes to a topic; with qos 1 and 2, done when the broker has it."
    repeat = "keyed"
    connection_kinds = ("mqtt",)
    Options = PublishOptions
    result_fields = ("topic", "qos", "retain")
    example = "call: mqtt.publish\nwith: {connection: mqtt://localhost, topic: lights/kitchen, data: {on: true}}"

    async def run(self, options: PublishOptions, context: ActionContext) -> object:
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        bad = (
            not options.topic
            or any(c in options.topic for c in "+#\0")
            or len(options.topic.encode("utf-8", "replace")) > 65_535
        )
        if bad or options.qos not in (0, 1, 2):
            raise StepFailed("expression", "a topic has no + and #, and qos is 0, 1 or 2", retryable=False)
        topic = sendable("the topic", options.topic, line=False)
        payload = raw(options.data)
        headers = dict(options.headers)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        for name, value in headers.items():
            _fits(name, value)
        async with context.connection(options.connection) as client:
            properties: object = None
            if client.settings.version == "5" and headers:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.UserProperty = list(headers.items())
            try:
                await client.publisher.publish(
                    topic, payload, qos=options.qos, retain=options.retain, properties=properties
                )
            except (aiomqtt.MqttError, OSError, TimeoutError) as error:
                raise _failure(client, error) from None
            except ValueError as error:
                raise StepFailed("limit", f"mqtt: {error}", retryable=False) from None
        return {"topic": topic, "qos": options.qos, "retain": options.retain}


def _fits(name: str, value: str) -> None:
    """A user property: two texts of MQTT (1.5.4), each of 65,535 bytes at most. Raises StepFailed."""
    for what, text in (("the header's name", name), (f"the header {name[:40]}", value)):
        if "\0" in sendable(what, text, line=False) or len(text.encode()) > 65_535:
            raise StepFailed("expression", f"{what} holds U+0000, or is longer than 65,535 bytes", retryable=False)


def _failure(client: Client, error: Exception) -> StepFailed | NotConnected:
    """What the library raised, as a step sees it: the client, which all share, is only lost with its connection."""
    if client.lost() or (isinstance(error, OSError) and not isinstance(error, TimeoutError)):
        return NotConnected(f"mqtt: {error or type(error).__name__}")
    return StepFailed("mqtt.failed", f"the broker did not take the message: {error or type(error).__name__}")
