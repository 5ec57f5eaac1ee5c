"""MQTT topics, in a session that the broker keeps."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from triggers._decode import Decode
from triggers._shared import Kind

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind mqtt, or its URL."""
    topic: str
    """A topic; `{room}` is one level (`+`) with a name, `{rest...}` all that follow (`#`)."""
    qos: int = 1
    """0 (at most once), 1 or 2."""
    client_id: str | None = None
    """The session's name at the broker; made of the source unless given. One daemon a name."""
    share: str | None = None
    """A group of subscribers that share the messages (MQTT 5)."""
    retained: bool = True
    """Whether the topic's retained messages come at the start."""
    session: int = 86_400
    """Seconds for which the broker keeps the session of a daemon that is down (MQTT 5)."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""


class Mqtt(Kind):
    name = "mqtt"
    summary = "Messages of MQTT topics; acknowledged after the events are durable."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("mqtt",)
    example = 'mqtt: {connection: mqtt://localhost, topic: "sensors/{room}/temperature", qos: 1}'
    event_type = "mqtt.message"
    identity = False

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        found = []
        try:
            topic_filter(options.topic)
        except ValueError as error:
            found.append(("topic", str(error)))
        if options.qos not in (0, 1, 2):
            found.append(("qos", "qos is 0, 1 or 2"))
        if options.share is not None and not re.fullmatch(r"[^/+#]{1,100}", options.share):
            found.append(("share", "the name of a group has no /, + and #"))
        return found

    @classmethod
    def claim(cls, options: Any) -> str | None:
        return f"the client id {options.client_id} ({options.connection})" if options.client_id else None

    async def listen(self, ctx: Any) -> None:
        from triggers._mqtt import listen

        async with ctx.connection(self.options.connection) as client:
            await listen(ctx, client, self.options)


def topic_filter(topic: str) -> tuple[str, list[str | None]]:
    """The filter that is subscribed to, and the name of each level. Raises ValueError."""
    levels: list[str] = []
    names: list[str | None] = []
    parts = topic.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{") and part.endswith("}"):
            rest = part.endswith("...}")
            name = part[1:-4] if rest else part[1:-1]
            if not _NAME.fullmatch(name) or name in names:
                raise ValueError(f"{part} is no name of a level, or stands twice")
            if rest and place != len(parts) - 1:
                raise ValueError(f"{part} takes all that follows, so it stands at the end")
            levels.append("#" if rest else "+")
            names.append(name)
        elif ("+" in part and part != "+") or ("#" in part and (part != "#" or place != len(parts) - 1)):
            raise ValueError(f"{part!r}: + is a level of its own, # is the last")
        else:
            levels.append(part)
            names.append(None)
    if not topic or "\0" in topic or len(topic) > 1000:
        raise ValueError("a topic has 1 to 1,000 characters")
    return "/".join(levels), names
