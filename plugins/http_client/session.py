"""Sessions of the HTTP client, shared by steps of the same rights, so that connections are used again."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from plugins.http_client.guard import Guard, Network
from plugins.http_client.settings import Tls
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed

KEPT_ALIVE = 1.5
"""Seconds that a connection waits for the next request: less than any server does, so that no request is sent into a
connection that the other side is closing."""
MAX_LINE = 64 * 1024
MAX_HEADER = 256 * 1024
MAX_HEADERS = 2_000


class Session:
    """aiohttp's session and the guard of its sockets. It keeps no cookies, and no request's credentials."""

    def __init__(self, hosts: frozenset[str], networks: tuple[Network, ...], tls: ssl.SSLContext | bool) -> None:
        import aiohttp

        self.guard = Guard(hosts, networks)
        connector = aiohttp.TCPConnector(
            resolver=self.guard,  # type: ignore[arg-type]
            socket_factory=self.guard.socket, ssl=tls, limit=0, keepalive_timeout=KEPT_ALIVE,
        )  # fmt: skip
        self.client = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True,
            max_line_size=MAX_LINE, max_field_size=MAX_HEADER, max_headers=MAX_HEADERS,
        )  # fmt: skip

    async def close(self) -> None:
        await self.client.close()


@asynccontextmanager
async def session(context: ActionContext, hosts: frozenset[str], tls: Tls | None) -> AsyncIterator[Session]:
    """One that may reach what this step may: `hosts` are those that the author wrote. Raises StepFailed."""
    allowed = tuple(context.settings.allow_networks)

    async def make() -> Session:
        networks = tuple(ipaddress.ip_network(text) for text in allowed)
        return Session(hosts, networks, tls_context(tls, context.folder))

    if context.clients is None:
        made = await make()
        try:
            yield made
        finally:
            await made.close()
    else:
        key = ("http", hosts, allowed, _identity(tls, context.folder))
        async with context.clients.lend(key, make) as shared:
            yield shared


def _identity(tls: Tls | None, folder: str) -> Any:
    """What tells TLS settings apart: the files themselves too, so that new certificates are taken at once."""
    if tls is None:
        return None
    stamps = []
    for name in (tls.ca, tls.cert, tls.key):
        try:
            status = (Path(folder) / name).stat() if name else None
        except OSError:
            status = None
        stamps.append(status and (status.st_ino, status.st_mtime_ns, status.st_size))
    return (folder, tls, *stamps)


def tls_context(options: Tls | None, base: str) -> ssl.SSLContext | bool:
    """The settings as aiohttp takes them; relative paths start at `base`. Raises StepFailed."""
    if options is None:
        return True
    folder = Path(base)
    try:
        made = ssl.create_default_context(cafile=str(folder / options.ca) if options.ca else None)
        if options.cert is not None:
            made.load_cert_chain(folder / options.cert, folder / options.key if options.key else None)
    except (OSError, ValueError) as error:
        raise StepFailed("http.tls", f"the certificates cannot be read: {error}", retryable=False) from None
    if not options.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
