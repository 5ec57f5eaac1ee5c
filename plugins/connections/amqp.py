"""A RabbitMQ broker (AMQP 0-9-1)."""

from __future__ import annotations

import contextlib
import ssl
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

import anyio
import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

CHANNELS = 32
"""Messages that may be on their way to the broker at once."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """amqp://user:password@host:5672/vhost, amqps:// (TLS)."""
    user: str | None = None
    """The user, when it is not in the URL."""
    password: str | None = None
    """The password, when it is not in the URL."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path."""
    cert: str | None = None
    """The client's certificate file,"""
    key: str | None = None
    """and its key."""
    heartbeat: int = 30
    """Seconds between two signs of life."""


class Client:
    """A connection, and channels with confirms for actions; `gone` is set when it is lost."""

    def __init__(self, connection: AbstractConnection, gone: anyio.Event) -> None:
        self.connection = connection
        self.gone = gone
        self._idle: list[AbstractChannel] = []
        self._places = anyio.CapacityLimiter(CHANNELS)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for one message at a time: the broker closes a channel for a message that it refuses, and ends the
        connection when another message comes on it then."""
        from aiormq.exceptions import DeliveryError

        async with self._places:
            channel = self._idle.pop() if self._idle else await self.open()
            whole = False
            try:
                yield channel
                whole = True
            except DeliveryError:
                whole = True
                raise
            finally:
                if whole and not channel.is_closed:
                    self._idle.append(channel)
                else:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(3), contextlib.suppress(Exception):
                        await channel.close()

    async def open(self) -> AbstractChannel:
        return await self.connection.channel(publisher_confirms=True, on_return_raises=True)


class Amqp(ConnectionKind[Settings, Client]):
    name = "amqp"
    summary = "A RabbitMQ broker (AMQP 0-9-1)."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("amqp", "amqps")
    example = (
        "kind: amqp\nsettings:\n  url: amqps://rabbit.example/shop\n  user: reactor\n  password: ${{ secrets.amqp }}"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        parts = urllib.parse.urlsplit(options.url)
        if parts.scheme not in cls.schemes or not parts.hostname:
            return [("url", "the URL is amqp://host/vhost or amqps://host/vhost")]
        if (options.user is None) != (options.password is None):
            return [("user", "user and password belong together")]
        return []

    def _url(self) -> str:
        options = self.options
        if options.user is None:
            return options.url
        parts = urllib.parse.urlsplit(options.url)
        place = parts.netloc.rpartition("@")[2]
        user, password = (urllib.parse.quote(one or "", safe="") for one in (options.user, options.password))
        return parts._replace(netloc=f"{user}:{password}@{place}").geturl()

    async def open(self) -> Client:
        import aio_pika
        from aiormq.exceptions import AMQPError

        options = self.options
        context = None
        try:
            if options.url.startswith("amqps"):
                context = ssl.create_default_context(cafile=options.ca)
                if options.cert is not None:
                    context.load_cert_chain(options.cert, options.key)
            connection = await aio_pika.connect(
                self._url(), ssl_context=context, timeout=10, client_properties={"connection_name": "reactor"},
                heartbeat=options.heartbeat,
            )  # fmt: skip
            gone = anyio.Event()
            connection.close_callbacks.add(lambda *_: gone.set())
            return Client(connection, gone)
        except (AMQPError, OSError, TimeoutError, ssl.SSLError, ValueError) as error:
            raise NotConnected(f"amqp: {error or type(error).__name__}") from None

    async def check(self, client: Client) -> None:
        from aiormq.exceptions import AMQPError

        try:
            channel = await client.connection.channel()
            await channel.close()
        except (AMQPError, OSError, RuntimeError) as error:
            raise NotConnected(f"amqp: {error or type(error).__name__}") from None

    async def close(self, client: Client) -> None:
        await client.connection.close()
