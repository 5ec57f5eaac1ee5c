"""MQTT topics, in a session that the broker keeps."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

import msgspec

from triggers.kit.decode import Decode
from triggers.kit.shared import Kind

LONGEST_SESSION = 0xFFFFFFFF
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
    retained: Literal["new", "always", "never"] | bool = "new"
    """Which retained messages of the topic come at a start: new (those that did not come before), always or never."""
    session: int = 86_400
    """Seconds for which the broker keeps the session of a daemon that is down (MQTT 5)."""
    decode: Decode = "auto"
    """auto, json, text or bytes."""

    @property
    def stored(self) -> str:
        """`retained`; true and false are what they were before there was `new`."""
        if isinstance(self.retained, bool):
            return "always" if self.retained else "never"
        return self.retained


class Mqtt(Kind):
    name = "mqtt"
    summary = "Messages of MQTT topics; acknowledged after the events are durable."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("mqtt",)
    example = 'mqtt: {connection: mqtt://localhost, topic: "sensors/{room}/temperature", qos: 1}'
    event_type = "mqtt.message"
    identity = False
    one_reader = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
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
    def claim(cls, options: Any) -> str | None:
        return f"the client id {options.client_id} ({options.connection})" if options.client_id else None

    async def listen(self, ctx: Any) -> None:
        from triggers.mqtt.session import listen

        async with ctx.connection(self.options.connection) as client:
            pass
        # from here on a connection of its own: what happens to it is no matter of those who publish
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
