"""A mail server for `email.send`: a few connections, kept open between mails."""

from __future__ import annotations

import contextlib
import ssl
import urllib.parse
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar, Literal

import anyio
import anyio.lowlevel
import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind

if TYPE_CHECKING:
    import aiosmtplib

KEPT = 4
"""Connections to one server at once."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    host: str
    """The mail server."""
    port: int | None = None
    """587 with starttls, 465 with tls, 25 with none, unless given."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """starttls: encryption is asked for and required; tls: from the first byte; none: a relay that you trust."""
    user: str | None = None
    """Signs in with this name,"""
    password: str | None = None
    """and this password."""
    sender: str | None = None
    """The From address of mails that name none."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path."""
    hostname: str | None = None
    """What the client calls itself in EHLO."""


class Server:
    """The client: `async with server.session() as smtp`."""

    def __init__(self, options: Settings) -> None:
        self.options = options
        self._idle: list[aiosmtplib.SMTP] = []
        self._slots = anyio.Semaphore(KEPT)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A signed-in aiosmtplib client for one mail. Raises NotConnected."""
        async with self._slots:
            client = await self._fresh()
            good = False
            try:
                yield client
                good = client.is_connected
            finally:
                if good:
                    self._idle.append(client)
                else:
                    drop(client)

    async def _fresh(self) -> aiosmtplib.SMTP:
        import aiosmtplib

        while self._idle:
            client = self._idle.pop()
            try:
                await client.noop(timeout=5)
                return client
            except (aiosmtplib.SMTPException, OSError):
                drop(client)
        return await self._connect()

    async def _connect(self) -> aiosmtplib.SMTP:
        import aiosmtplib

        options = self.options
        context = ssl.create_default_context(cafile=options.ca)
        client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port or {"starttls": 587, "tls": 465, "none": 25}[options.security],
            username=options.user,
            password=options.password,
            use_tls=options.security == "tls",
            start_tls=options.security == "starttls",
            tls_context=context if options.security != "none" else None,
            local_hostname=options.hostname,
            timeout=20,
        )
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            drop(client)
            raise NotConnected(f"{options.host}: {error}") from None
        return client

    async def close(self) -> None:
        import aiosmtplib

        while self._idle:
            client = self._idle.pop()
            transport = client.transport
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=3)
            if transport is not None:
                transport.abort()  # type: ignore[attr-defined]
        for _ in range(3):  # transports are really closed some turns of the loop later
            await anyio.lowlevel.checkpoint()


def drop(client: aiosmtplib.SMTP) -> None:
    """Closes at once: a TLS good-bye that nobody answers would keep the socket."""
    transport = client.transport
    client.close()
    if transport is not None:
        transport.abort()  # type: ignore[attr-defined]


class Smtp(ConnectionKind[Settings, Server]):
    name = "smtp"
    summary = "A mail server."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("smtp", "smtps")
    example = (
        "kind: smtp\nsettings:\n  host: smtp.example\n  user: reactor\n  password: ${{ secrets.smtp_password }}\n"
        "  sender: Reactor <reactor@shop.example>"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        parts = urllib.parse.urlsplit(url)
        if not parts.hostname:
            raise ValueError("smtp://user:password@host:port")
        found: dict[str, object] = {
            "host": parts.hostname,
            "security": "tls" if parts.scheme == "smtps" else "starttls",
        }
        if parts.port:
            found["port"] = parts.port
        if parts.username:
            found["user"] = urllib.parse.unquote(parts.username)
            found["password"] = urllib.parse.unquote(parts.password or "")
        query = dict(urllib.parse.parse_qsl(parts.query))
        return {**found, **query}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        found = []
        if options.port is not None and not 0 < options.port < 65536:
            found.append(("port", "a port is a number from 1 to 65535"))
        if (options.user is None) != (options.password is None):
            found.append(("user", "user and password belong together"))
        if options.user is not None and options.security == "none":
            found.append(("security", "a password is not sent without encryption; use starttls or tls"))
        return found

    async def open(self) -> Server:
        try:
            server = Server(self.options)
            async with server.session():
                return server
        except (OSError, ssl.SSLError) as error:
            raise NotConnected(f"{self.options.host}: {error}") from None

    async def check(self, client: Server) -> None:
        async with client.session():
            return

    async def close(self, client: Server) -> None:
        await client.close()
