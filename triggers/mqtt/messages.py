"""MQTT messages: the events that they become, and which retained ones came before."""

from __future__ import annotations

import hashlib
from typing import Any

from paho.mqtt.client import MQTTMessage
from paho.mqtt.properties import Properties

from reactor.contracts.event import Cursor, Event
from reactor.contracts.text import named, shown
from reactor.contracts.trigger import TriggerContext
from triggers.kit.decode import decode
from triggers.kit.letters import base64_of, event_of, headers_of
from triggers.mqtt.options import Options, topic_filter

MAX_TOPICS = 10_000
"""Topics of which a hash is remembered."""


class Seen:
    """What came last of each topic, by a hash: a retained message that is the same came before. A broker of MQTT 5 that
    keeps the session sends a retained message once (`trusted`), so that only those are remembered; otherwise each
    subscription brings them all again, and what came live may be one of them."""

    def __init__(self, ctx: TriggerContext, position: dict[str, object], trusted: bool) -> None:
        self._ctx = ctx
        self._trusted = trusted
        self._last = {item[2:]: value for item, value in position.items() if item.startswith("r:")}

    def knows(self, message: MQTTMessage) -> bool:
        return self._last.get(_hash(message._topic)) == _hash(message.payload)

    def passes(self, message: MQTTMessage) -> list[Cursor]:
        """The cursors that remember it with its event."""
        if self._trusted and not message.retain:
            return []
        topic, value = _hash(message._topic), _hash(message.payload)
        if self._last.get(topic) == value:
            return []
        moved: list[Cursor] = [self._ctx.at(f"r:{topic}", value)]
        if topic not in self._last and len(self._last) >= MAX_TOPICS:
            oldest = next(iter(self._last))
            del self._last[oldest]
            moved.append(self._ctx.at(f"r:{oldest}", None))
        self._last[topic] = value
        return moved


def _hash(data: bytes | bytearray) -> str:
    return hashlib.blake2b(data, digest_size=9).hexdigest()


def event_of_message(message: MQTTMessage, odd: str | None, options: Options) -> Event:
    topic = bytes(message._topic)  # the library's own `topic` raises for one that is not UTF-8
    source = f"mqtt:{shown(topic)}"
    where = {**named("topic", topic), "qos": message.qos, "retain": bool(message.retain)}

    def make() -> Event:
        if odd is not None:
            raise ValueError(f"its properties cannot be decoded ({odd})")
        data, invalid = decode(bytes(message.payload), options.decode)
        levels = shown(topic).split("/")
        params: dict[str, str] = {}
        for place, name in enumerate(topic_filter(options.topic)[1]):
            if name is not None:
                rest = options.topic.split("/")[place].endswith("...}")
                params[name] = "/".join(levels[place:]) if rest else levels[place]
        properties = _properties(message.properties)
        trace = properties["headers"].get("traceparent")
        extensions = {} if trace is None else {"traceparent": trace}
        fields = {**where, "params": params, **properties}
        return Event(
            type="mqtt.message", source=source, data=data, invalid=invalid, extensions=extensions, fields=fields
        )

    def letter() -> Event:
        return Event(type="mqtt.message", source=source, data=base64_of(bytes(message.payload)), fields=where)

    return event_of(make, letter, f"the topic {shown(topic)}")


def _properties(given: Properties | None) -> dict[str, Any]:
    """The properties of MQTT 5 (3.3.2.3); in 3.1.1 there are none."""
    found = vars(given) if given is not None else {}
    correlation = found.get("CorrelationData")
    return {
        **headers_of(found.get("UserProperty") or []),
        "content_type": found.get("ContentType"),
        "response_topic": found.get("ResponseTopic"),
        "expiry": found.get("MessageExpiryInterval"),
        **({"correlation": None} if correlation is None else named("correlation", bytes(correlation))),
    }
