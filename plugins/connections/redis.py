"""A Redis (or Valkey) server, a Sentinel's primary, or a cluster."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind

SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
MAX_CONNECTIONS = 200


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """redis://user:password@host:6379/0, unix:///path, redis+sentinel://host:26379,host2/name/0,
    redis+cluster://host:6379; with TLS rediss://, rediss+sentinel://, rediss+cluster://."""
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


class Client(Protocol):
    """What actions call of redis-py's clients (server, Sentinel's primary, cluster)."""

    async def ping(self) -> object: ...

    async def aclose(self) -> None: ...

    async def publish(self, channel: str, message: bytes) -> int: ...

    async def xadd(self, name: str, fields: Mapping[str, bytes], *, maxlen: int | None) -> object: ...

    async def get(self, name: str) -> bytes | None: ...

    async def set(self, name: str, value: bytes, *, px: int | None, nx: bool, xx: bool) -> object: ...

    async def delete(self, *names: str) -> int: ...

    async def lpush(self, name: str, *values: bytes) -> int: ...

    async def rpush(self, name: str, *values: bytes) -> int: ...

    async def incrby(self, name: str, amount: int) -> int: ...

    async def eval(self, script: str, numkeys: int, *keys_and_args: str | bytes) -> object: ...


class Redis(ConnectionKind[Settings, Client]):
    name = "redis"
    summary = "A Redis or Valkey server, a Sentinel's primary, or a cluster."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = tuple(scheme for scheme in SCHEMES if scheme != "unix")
    example = "kind: redis\nsettings:\n  url: redis://cache.example:6379/0\n  password: ${{ secrets.redis_password }}"

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        try:
            parts = urllib.parse.urlsplit(options.url)
        except ValueError as error:
            return [("url", str(error))]
        if parts.scheme not in SCHEMES:
            return [("url", f"the URL begins with {', '.join(SCHEMES)}")]
        if parts.scheme.endswith("+sentinel") and not parts.path.strip("/"):
            return [("url", "a Sentinel URL names its service: redis+sentinel://host:26379/mymaster")]
        if not parts.scheme.startswith("rediss") and (options.ca, options.cert, options.key) != (None, None, None):
            return [("url", f"ca, cert and key are for TLS: rediss{parts.scheme.removeprefix('redis')}://")]
        return []

    async def open(self) -> Client:
        from redis.exceptions import RedisError

        try:
            client: Client = self._client()
            await client.ping()
            return client
        except (RedisError, OSError, ValueError, TimeoutError) as error:
            raise NotConnected(f"redis: {error}") from None

    def _client(self) -> Any:
        import redis.asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.asyncio.sentinel import Sentinel
        from redis.backoff import NoBackoff

        options = self.options
        common: dict[str, Any] = {"socket_connect_timeout": 5, "health_check_interval": 30}
        given = {"username": options.user, "password": options.password}
        common |= {name: value for name, value in given.items() if value is not None}
        parts = urllib.parse.urlsplit(options.url)
        files = {"ssl_ca_certs": options.ca, "ssl_certfile": options.cert, "ssl_keyfile": options.key}
        tls: dict[str, Any] = {name: value for name, value in files.items() if value is not None}
        if parts.scheme.endswith("+cluster"):
            return redis.RedisCluster.from_url(options.url.replace("+cluster", "", 1), **common, **tls)
        if parts.scheme.endswith("+sentinel"):
            hosts = [(host.rpartition(":")[0] or host, int(host.rpartition(":")[2] or 26379)) for host in _hosts(parts)]
            service, _, database = parts.path.strip("/").partition("/")
            own = {"password": urllib.parse.unquote(parts.password)} if parts.password else {}
            tls |= {"ssl": True} if parts.scheme.startswith("rediss") else {}
            asking = {"socket_connect_timeout": 5, **tls}
            sentinel: Any = Sentinel(hosts, sentinel_kwargs=asking, **common, **tls)  # type: ignore[no-untyped-call]
            return sentinel.master_for(service, db=int(database or 0), **own)
        retry = Retry(NoBackoff(), 0)
        return redis.Redis.from_url(options.url, max_connections=MAX_CONNECTIONS, retry=retry, **common, **tls)

    async def check(self, client: Client) -> None:
        from redis.exceptions import RedisError

        try:
            await client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise NotConnected(f"redis: {error}") from None

    async def close(self, client: Client) -> None:
        await client.aclose()


def _hosts(parts: urllib.parse.SplitResult) -> list[str]:
    found = parts.netloc.rpartition("@")[2].split(",")
    return [host if ":" in host else f"{host}:26379" for host in found]
