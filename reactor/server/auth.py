"""Who may do what: loopback and token, foreign hosts, browsers of other sites."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

from reactor.server.proxies import Proxies, Sender
from reactor.server.routing import Problem, Right

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@?#\\]+))(?::[0-9]*)?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#@\\]+)")


class Unauthorized(Problem):
    """No token, or a wrong one; `reason` is for counters and the log, never for the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        self.reason = reason


class Access:
    """`token` is the admin token or None; without one only the loopback is served at all. With one, it is asked for
    there too."""

    def __init__(
        self, token: str | None, loopback: bool, allowed_hosts: frozenset[str], proxies: Proxies | None = None
    ) -> None:
        self._token = token
        self._loopback = loopback
        self._names = LOCAL_NAMES | allowed_hosts
        self.proxies = proxies or Proxies()

    def check(self, right: Right, headers: Mapping[str, str], local_socket: bool, sender: Sender | None = None) -> None:
        """Raises Problem 403 and Unauthorized. The socket in the data directory is its owner's only: it is trusted."""
        if local_socket:
            return
        sender = sender or Sender("", headers.get("host", ""))
        self._check_browser(headers, sender)
        if right == "public":
            return
        if right not in ("send", "admin"):
            raise Problem(403, "Forbidden")
        if self._token is None:
            if self._loopback and not sender.forwarded:
                return
            raise Problem(403, "Forbidden")
        given = headers.get("authorization")
        if given is None:
            raise Unauthorized("missing_token")
        kind, _, token = given.partition(" ")
        if kind.lower() != "bearer":
            raise Unauthorized("not_bearer")
        if not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token.encode()):
            raise Unauthorized("wrong_token")

    def _check_browser(self, headers: Mapping[str, str], sender: Sender) -> None:
        """Refuses requests that a page of another site made a browser send, and DNS rebinding."""
        if self._loopback and host_name(sender.host) not in self._names:
            raise Problem(403, "Foreign host", "the Host header is not this machine's; --allowed-host adds names")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Problem(403, "Cross-site request")
        origin = headers.get("origin")
        if origin is not None and origin_host(origin) != sender.host:
            raise Problem(403, "Cross-site request")


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty for a header that is not well-formed."""
    match = _HOST.fullmatch(header)
    if match is None:
        return ""
    return (match[1] or match[2]).lower()


def origin_host(origin: str) -> str | None:
    """Host and port of an origin; None for one that names none (`null`, an opaque one, a malformed one)."""
    match = _ORIGIN.fullmatch(origin)
    return None if match is None or not host_name(match[1]) else match[1]
