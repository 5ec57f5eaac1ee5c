"""Who may do what: loopback and token, foreign hosts, browsers of other sites."""

from __future__ import annotations

import hmac
import urllib.parse
from collections.abc import Mapping

from reactor.server.routing import Problem, Right

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """`token` is the admin token or None; without one only the loopback is served at all."""

    def __init__(self, token: str | None, loopback: bool, allowed_hosts: frozenset[str]) -> None:
        self._token = token
        self._loopback = loopback
        self._names = LOCAL_NAMES | allowed_hosts

    def check(self, right: Right, headers: Mapping[str, str], local_socket: bool) -> None:
        """Raises Problem 401 or 403. The socket in the data directory is for its owner only, so it is trusted."""
        if local_socket:
            return
        self._check_browser(headers)
        if right == "public" or (right == "send" and self._loopback):
            return
        if right not in ("send", "admin"):
            raise Problem(403, "Forbidden")
        if self._token is None:
            if self._loopback:
                return
            raise Problem(403, "Forbidden")
        kind, _, given = headers.get("authorization", "").partition(" ")
        good = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token.encode())
        if kind.lower() != "bearer" or not good:
            raise Problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})

    def _check_browser(self, headers: Mapping[str, str]) -> None:
        """Refuses requests that a page of another site made a browser send, and DNS rebinding."""
        if self._loopback and host_name(headers.get("host", "")) not in self._names:
            raise Problem(403, "Foreign host", "the Host header is not this machine's; --allowed-host adds names")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Problem(403, "Cross-site request")
        origin = headers.get("origin")
        if origin is not None and urllib.parse.urlsplit(origin).netloc != headers.get("host", ""):
            raise Problem(403, "Cross-site request")


def host_name(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
