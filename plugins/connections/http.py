"""An HTTP API: where it is and how one signs in, written once for all the steps that call it."""

from __future__ import annotations

import ssl
from typing import ClassVar

import anyio
from anyio.streams.tls import TLSStream

from plugins.http_client.guard import Guard, parsed, shortened, split
from plugins.http_client.settings import AGENT, Settings, Tls
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ConnectionKind

CHECK_WITHIN = 10.0


class Http(ConnectionKind[Settings, Settings]):
    name = "http"
    summary = "An HTTP API with its base URL, headers and sign-in."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ()
    example = "kind: http\nsettings:\n  url: https://api.example\n  auth: {bearer: '${{ secrets.api_token }}'}"

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        raise ValueError("an HTTP API has a name")

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        try:
            url = parsed(options.url)
        except StepFailed as error:
            return [("url", str(error))]
        return [("url", "the base has no #")] if url.raw_fragment else []

    async def open(self) -> Settings:
        """The settings are the client: each request opens what it needs."""
        return self.options

    async def check(self, client: Settings) -> None:
        """Connects; only a `health` path is asked for anything."""
        try:
            with anyio.fail_after(CHECK_WITHIN):
                await (_connect(client) if client.health is None else _ask(client, client.health))
        except StepFailed as error:
            raise NotConnected(str(error)) from None
        except TimeoutError:
            raise NotConnected(f"{shortened(client.url)}: no answer within {CHECK_WITHIN:g} s") from None
        except (OSError, UnicodeError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise NotConnected(f"{shortened(client.url)}: {type(error).__name__}: {error}") from None

    async def close(self, client: Settings) -> None:
        return None


async def _connect(client: Settings) -> None:
    """TCP, and TLS for https: a GET of the base URL may be a webhook that somebody listens to."""
    from plugins.http_client.session import tls_context

    scheme, host, port = split(client.url)
    guard = Guard(frozenset({host}), ())
    guard.check(parsed(client.url))
    addresses = [str(one["host"]) for one in await guard.resolve(host.partition("%")[0], port)]
    tls = tls_context(client.tls or Tls(), "")
    assert isinstance(tls, ssl.SSLContext)
    failed: OSError | None = None
    for address in addresses:
        try:
            stream = await anyio.connect_tcp(address, port)
            if scheme == "https":
                wrapped = await TLSStream.wrap(stream, hostname=host, ssl_context=tls, standard_compatible=False)
                await wrapped.aclose()
        except OSError as error:
            failed = error
            continue
        await stream.aclose()
        return
    raise failed or OSError("the name has no address")


async def _ask(client: Settings, health: str) -> None:
    import aiohttp

    from plugins.http_client.request import joined, request_auth
    from plugins.http_client.session import Session, tls_context

    url = parsed(joined(client.url, health))
    given = {name.lower() for name in client.headers}
    own = {"User-Agent": AGENT, **request_auth(client.auth)}
    headers = {**client.headers, **{name: value for name, value in own.items() if name.lower() not in given}}
    asking = Session(frozenset({split(client.url)[1]}), (), tls_context(client.tls, ""))
    try:
        asking.guard.check(url)
        async with asking.client.get(url, headers=headers, allow_redirects=False) as response:
            if response.status >= 400:
                raise NotConnected(f"{shortened(str(url))} answered {response.status}")
    except aiohttp.ClientError as error:
        raise NotConnected(f"{shortened(client.url)}: {type(error).__name__}: {error}") from None
    finally:
        await asking.close()
