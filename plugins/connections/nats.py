"""A NATS server or cluster."""

from __future__ import annotations

import ssl
import urllib.parse
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind

if TYPE_CHECKING:
    from plugins.connections._nats_client import Connection

SCHEMES = ("nats", "tls", "ws", "wss")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """nats://host:4222, tls://host:4222; several by comma. A user and password may stand in it."""
    user: str | None = None
    """The user, when it is not in the URL."""
    password: str | None = None
    """The password, when it is not in the URL."""
    token: str | None = None
    """A token instead of a user."""
    credentials: str | None = None
    """A .creds file; an absolute path."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path."""
    cert: str | None = None
    """The client's certificate file,"""
    key: str | None = None
    """and its key."""


class Client:
    """A connection; `gone` is set when it is lost, and nobody reconnects it: it is opened anew."""

    def __init__(self, connection: Connection, gone: anyio.Event) -> None:
        self.connection = connection
        self.gone = gone
        self.jetstream = connection.jetstream(timeout=10)


class Nats(ConnectionKind[Settings, Client]):
    name = "nats"
    summary = "A NATS server or cluster."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("nats", "tls")
    example = "kind: nats\nsettings:\n  url: nats://bus.example:4222\n  token: ${{ secrets.nats_token }}"

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        schemes = {urllib.parse.urlsplit(url.strip()).scheme for url in options.url.split(",")}
        found = [("url", f"each URL begins with {', '.join(SCHEMES)}")] if schemes - set(SCHEMES) else []
        if sum(one is not None for one in (options.user, options.token, options.credentials)) > 1:
            found.append(("user", "one of user, token and credentials"))
        return found[:1]

    async def open(self) -> Client:
        from nats.errors import Error

        from plugins.connections._nats_client import Connection

        options = self.options
        gone = anyio.Event()

        async def closed() -> None:
            gone.set()

        connection = Connection()
        given: dict[str, Any] = {
            "user": options.user, "password": options.password, "token": options.token,
            "user_credentials": options.credentials, "tls": self._tls(),
        }  # fmt: skip
        try:
            await connection.connect(
                [url.strip() for url in options.url.split(",")],
                name="reactor", connect_timeout=5, allow_reconnect=False, max_reconnect_attempts=1,
                closed_cb=closed, disconnected_cb=closed, error_cb=connection.tell, drain_timeout=5,
                **{name: value for name, value in given.items() if value is not None},
            )  # fmt: skip
        except (Error, OSError, TimeoutError, ValueError) as error:
            raise NotConnected(f"nats: {error or type(error).__name__}") from None
        return Client(connection, gone)

    def _tls(self) -> ssl.SSLContext | None:
        options = self.options
        if options.ca is None and options.cert is None and "tls://" not in options.url:
            return None
        try:
            context = ssl.create_default_context(cafile=options.ca)
            if options.cert is not None:
                context.load_cert_chain(options.cert, options.key)
        except (OSError, ssl.SSLError) as error:
            raise NotConnected(f"nats: the certificates cannot be read: {error}") from None
        return context

    async def check(self, client: Client) -> None:
        from nats.errors import Error

        try:
            await client.connection.flush(timeout=5)
        except (Error, OSError, TimeoutError) as error:
            raise NotConnected(f"nats: {error or type(error).__name__}") from None

    async def close(self, client: Client) -> None:
        await client.connection.close()
