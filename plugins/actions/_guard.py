"""The one guard for everything that goes out (rule 15).

A host that the flow's author wrote may be anywhere but the cloud's metadata addresses; a host that an expression
computed is judged: resolved once, unwrapped, refused on private ground unless the operator allows the network, and
the connection goes to the judged address.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse
from collections.abc import Sequence
from typing import Any

from reactor.contracts.errors import StepFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.169.254/32",
        "169.254.170.2/32",
        "169.254.169.123/32",
        "100.100.100.200/32",
        "fd00:ec2::254/128",
    )
)
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def unwrap(address: Address) -> Address:
    """The IPv4 address inside a mapped, NAT64, 6to4 or Teredo one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if any(address in network for network in NAT64) or (int(address) >> 32 == 0 and int(address) > 1):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def judge(address: Address, literal: bool, allowed: Sequence[Network]) -> str | None:
    """Why an address may not be reached; None when it may."""
    inner = unwrap(address)
    if any(inner in network for network in METADATA if network.version == inner.version):
        return f"{address} is a cloud metadata address"
    if literal or any(inner in network for network in allowed if network.version == inner.version):
        return None
    if not inner.is_global or inner.is_multicast or inner.is_reserved:
        return f"{address} is not a public address"
    return None


def split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an outgoing URL. Raises StepFailed of type `http.refused`."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused(f"{url[:200]!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise refused(f"only http and https go out, not {parts.scheme or 'a URL without a scheme'}")
    if not parts.hostname or any(c in url for c in "\r\n\0\t "):
        raise refused(f"{url[:200]!r} is no URL with a host")
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def is_literal(url: str, front: str | None) -> bool:
    """Whether the author wrote the host: `front` is the literal text before the first expression (None: all of it)."""
    if front is None:
        return True
    _, found, rest = front.partition("://")
    host, slash, _ = rest.partition("/")
    return bool(found and slash and host and "@" not in host and urllib.parse.urlsplit(url).netloc == host)


def refused(message: str) -> StepFailed:
    return StepFailed("http.refused", message, retryable=False)


class Resolver:
    """aiohttp's resolver: what it gives is judged, so the address that was judged is the one connected to."""

    def __init__(self, literal_hosts: frozenset[str], allowed: Sequence[Network]) -> None:
        self._literal = literal_hosts
        self._allowed = allowed

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> list[dict[str, Any]]:
        import asyncio

        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results: list[dict[str, Any]] = []
        reason = None
        for kind, _, proto, _, target in found:
            why = self.judge(str(target[0]).partition("%")[0], host)
            if why is not None:
                reason = why
                continue
            results.append(
                {
                    "hostname": host, "host": target[0], "port": port, "family": kind, "proto": proto,
                    "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                }
            )  # fmt: skip
        if reason is not None:
            raise refused(f"{host}: {reason}; the operator may allow its network with --allow-network")
        return results

    def judge(self, address: str, host: str) -> str | None:
        return judge(ipaddress.ip_address(address), host in self._literal, self._allowed)

    async def close(self) -> None:
        return None
