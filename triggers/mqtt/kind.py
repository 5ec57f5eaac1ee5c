"""MQTT topics, in a session that the broker keeps."""

from __future__ import annotations

import re

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from triggers.mqtt.options import Options, topic_filter

LONGEST_SESSION = 0xFFFFFFFF


class Mqtt(TriggerKind[Options]):
    name = "mqtt"
    summary = "Messages of MQTT topics; acknowledged after the events are durable."
    connection_kinds = ("mqtt",)
    takes_messages = True
    example = 'mqtt: {connection: mqtt://localhost, topic: "sensors/{room}/temperature", qos: 1}'
    event_type = "mqtt.message"
    event_fields = (
        "topic", "topic_bytes", "qos", "retain", "params", "headers", "headers_all", "headers_bytes", "content_type",
        "response_topic", "expiry", "correlation", "correlation_bytes",
    )  # fmt: skip
    identity = False
    one_reader = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        found = []
        try:
            topic_filter(options.topic)
        except ValueError as error:
            found.append(("topic", str(error)))
        if options.qos not in (0, 1, 2):
            found.append(("qos", "qos is 0, 1 or 2"))
        if not 0 <= options.session <= LONGEST_SESSION:
            found.append(("session", f"session is from 0 to {LONGEST_SESSION:,} seconds"))
        if options.client_id is not None and not 1 <= len(options.client_id.encode()) <= 65_535:
            found.append(("client_id", "a client id has 1 to 65,535 bytes"))
        if options.share is not None and not re.fullmatch(r"[^/+#]{1,100}", options.share):
            found.append(("share", "the name of a group has no /, + and #"))
        return found

    @classmethod
    def claim(cls, options: Options) -> str | None:
        return f"the client id {options.client_id} ({options.connection})" if options.client_id else None

    async def listen(self, ctx: TriggerContext) -> None:
        from triggers.mqtt.session import listen

        async with ctx.connection(self.options.connection) as client:
            pass
        # from here on a connection of its own: what happens to it does not touch those who publish
        await listen(ctx, client, self.options)
