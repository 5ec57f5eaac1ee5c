"""MQTT: publish."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from plugins.actions._message import raw
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed


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


class Publish:
    name = "mqtt.publish"
    summary = "Publishes to a topic; with qos 1 and 2, done when the broker has it."
    repeat = "keyed"
    needs: ClassVar[str | None] = None
    connection_kinds: ClassVar[tuple[str, ...]] = ("mqtt",)
    Options = PublishOptions
    result_fields = ("topic", "qos", "retain")
    example = "call: mqtt.publish\nwith: {connection: mqtt://localhost, topic: lights/kitchen, data: {on: true}}"

    async def run(self, options: PublishOptions, context: ActionContext) -> Any:
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        bad = not options.topic or any(c in options.topic for c in "+#\0") or len(options.topic) > 1000
        if bad or options.qos not in (0, 1, 2):
            raise StepFailed("expression", "a topic has no + and #, and qos is 0, 1 or 2", retryable=False)
        headers = dict(options.headers)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        async with context.connection(options.connection) as client:
            properties: Any = None
            if client.settings.version == "5" and headers:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.UserProperty = list(headers.items())
            try:
                await client.publisher.publish(
                    options.topic, raw(options.data), qos=options.qos, retain=options.retain, properties=properties
                )
            except (aiomqtt.MqttError, OSError, TimeoutError) as error:
                raise NotConnected(f"mqtt: {error or type(error).__name__}") from None
            except ValueError as error:
                raise StepFailed("limit", f"mqtt: {error}", retryable=False) from None
        return {"topic": options.topic, "qos": options.qos, "retain": options.retain}
