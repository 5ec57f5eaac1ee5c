"""Options of the mqtt trigger, and what its topics mean."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from triggers.kit.decode import Decode

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
