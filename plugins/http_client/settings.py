"""What an HTTP client is told: base URL, headers, sign-in and certificates."""

from __future__ import annotations

import msgspec

from reactor import __version__

AGENT = f"Reactor/{__version__}"


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
    """What every request's URL begins with; a query of it (`?key=…`) goes along with every request."""
    headers: dict[str, str] = {}
    """Headers of every request."""
    auth: Auth | None = None
    """`bearer`, or `user` and `password`."""
    tls: Tls | None = None
    """Certificates; paths are absolute."""
    health: str | None = None
    """A path that answers 2xx or 3xx when all is well; without one, the health check only connects."""
