"""An HTTP API: where it is and how one signs in, written once for all the steps that call it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from plugins.actions._guard import split
from reactor.contracts.errors import NotConnected, StepFailed


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bearer: str | None = None
    user: str | None = None
    password: str | None = None


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    ca: str | None = None
    """A file of certificates to trust instead of the system's."""
    cert: str | None = None
    """The client's certificate file,"""
    key: str | None = None
    """and its key."""
    verify: bool = True
    """False trusts anyone; for tests only."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """What every request's URL begins with."""
    headers: dict[str, str] = {}
    """Headers of every request."""
    auth: Auth | None = None
    """`bearer`, or `user` and `password`."""
    tls: Tls | None = None
    """Certificates; paths are absolute."""
    health: str | None = None
    """A path that answers 2xx or 3xx when all is well; without one, the health check only connects."""


class Http:
    name = "http"
    summary = "An HTTP API with its base URL, headers and sign-in."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ()
    example = "kind: http\nsettings:\n  url: https://api.example\n  auth: {bearer: '${{ secrets.api_token }}'}"

    def __init__(self, options: Settings) -> None:
        self.options = options

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        raise ValueError("an HTTP API has a name")

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        try:
            split(options.url)
        except StepFailed as error:
            return [("url", str(error))]
        return [("url", "the base has no ? and no #")] if set("?#") & set(options.url) else []

    async def open(self) -> Settings:
        """The settings are the client: each request opens what it needs."""
        return self.options

    async def check(self, client: Settings) -> None:
        import aiohttp

        from plugins.actions.http import request_auth, tls_context

        try:
            timeout = aiohttp.ClientTimeout(total=10)
            connector = aiohttp.TCPConnector(ssl=tls_context(client.tls, ""))
            headers = {**client.headers, **request_auth(client.auth)}
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                url = client.url.rstrip("/") + (client.health or "/")
                async with session.get(url, headers=headers, allow_redirects=False) as response:
                    if client.health is not None and response.status >= 400:
                        raise NotConnected(f"{url} answered {response.status}")
        except StepFailed as error:
            raise NotConnected(str(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotConnected(f"{client.url}: {type(error).__name__}: {error}") from None

    async def close(self, client: Settings) -> None:
        return None
