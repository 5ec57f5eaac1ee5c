"""An MQTT broker, 3.1.1 or 5."""

from __future__ import annotations

import ssl
import urllib.parse
from typing import Any, ClassVar, Literal

import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    host: str
    """The broker."""
    port: int | None = None
    """1883, with tls 8883, unless given."""
    version: Literal["5", "3.1.1"] = "5"
    """The protocol."""
    user: str | None = None
    """Signs in with this name,"""
    password: str | None = None
    """and this password."""
    tls: bool = False
    """Whether the connection is encrypted."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path."""
    cert: str | None = None
    """The client's certificate file,"""
    key: str | None = None
    """and its key."""
    keepalive: int = 30
    """Seconds between two signs of life."""
    will_topic: str | None = None
    """The broker publishes here when the daemon's connection breaks,"""
    will_payload: str = ""
    """this text."""


class Client:
    """Settings for the trigger's own session, and `publisher`, an aiomqtt client that actions share."""

    def __init__(self, settings: Settings, publisher: Any) -> None:
        self.settings = settings
        self.publisher = publisher

    def context(self) -> ssl.SSLContext | None:
        return context(self.settings)

    def lost(self) -> bool:
        """Whether the publisher has no connection any more."""
        return bool(self.publisher._disconnected.done())


def context(settings: Settings) -> ssl.SSLContext | None:
    """Raises NotConnected for certificates that cannot be read."""
    if not settings.tls:
        return None
    try:
        made = ssl.create_default_context(cafile=settings.ca)
        if settings.cert is not None:
            made.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise NotConnected(f"mqtt: the certificates cannot be read: {error}") from None
    return made


class Mqtt(ConnectionKind[Settings, Client]):
    name = "mqtt"
    summary = "An MQTT broker, 3.1.1 or 5."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("mqtt", "mqtts")
    example = (
        "kind: mqtt\nsettings:\n  host: broker.example\n  tls: true\n  user: reactor\n  password: ${{ secrets.mqtt }}"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        parts = urllib.parse.urlsplit(url)
        if not parts.hostname:
            raise ValueError("mqtt://user:password@host:port")
        found: dict[str, object] = {"host": parts.hostname, "tls": parts.scheme == "mqtts"}
        if parts.port:
            found["port"] = parts.port
        if parts.username:
            found["user"] = urllib.parse.unquote(parts.username)
            found["password"] = urllib.parse.unquote(parts.password or "")
        return {**found, **dict(urllib.parse.parse_qsl(parts.query))}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        if options.port is not None and not 0 < options.port < 65536:
            return [("port", "a port is a number from 1 to 65535")]
        if not 5 <= options.keepalive <= 3600:
            return [("keepalive", "from 5 to 3600 seconds")]
        return []

    async def open(self) -> Client:
        import aiomqtt
        import paho.mqtt.client as paho

        options = self.options
        will = aiomqtt.Will(options.will_topic, options.will_payload) if options.will_topic else None
        publisher = aiomqtt.Client(
            options.host,
            options.port or (8883 if options.tls else 1883),
            username=options.user,
            password=options.password,
            protocol=aiomqtt.ProtocolVersion.V5 if options.version == "5" else aiomqtt.ProtocolVersion.V311,
            tls_context=context(options),
            keepalive=options.keepalive,
            timeout=10,
            will=will,
            clean_start=True if options.version == "5" else paho.MQTT_CLEAN_START_FIRST_ONLY,
        )
        try:
            await publisher.__aenter__()
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            raise NotConnected(f"mqtt: {error or type(error).__name__}") from None
        return Client(options, publisher)

    async def check(self, client: Client) -> None:
        import aiomqtt

        try:
            await client.publisher.subscribe("reactor/health/none", timeout=5)
            await client.publisher.unsubscribe("reactor/health/none", timeout=5)
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            raise NotConnected(f"mqtt: {error or type(error).__name__}") from None

    async def close(self, client: Client) -> None:
        import aiomqtt

        try:
            await client.publisher.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            return
