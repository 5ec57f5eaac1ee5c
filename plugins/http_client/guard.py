"""The one guard for everything that goes out (rule 15).

A host that the flow's author wrote may be anywhere but the cloud's metadata addresses; a host that an expression
computed is judged: as the client maps it (IDNA, UTS 46), resolved once, unwrapped, refused on private ground unless the
operator allows the network. Each socket is judged once more by the address that it is about to connect to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import yarl

from reactor.contracts.errors import StepFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "169.254.169.123/32", "169.254.0.23/32",
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd00:ec2::23/128",
        "fd20:ce::254/128", "fe80::a9fe:a9fe/128",
    )
)  # fmt: skip
NAT64 = ipaddress.ip_network("64:ff9b::/96")
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""For networks of one's own (RFC 8215), whatever address is inside."""
TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
"""SIIT (RFC 2765): an IPv4 address behind ::ffff:0."""


def unwrap(address: Address) -> Address:
    """The IPv4 address inside a mapped, compatible, translated, NAT64, 6to4 or Teredo one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if (
            address in NAT64
            or address in LOCAL_NAT64
            or address in TRANSLATED
            or (int(address) >> 32 == 0 and int(address) > 1)
        ):
            return last
        if int(address) >> 32 & 0xFFFF == 0x5EFE and int(address) >> 48 & 0xFDFF == 0:  # ISATAP (RFC 5214)
            return last
    return address


def judge(address: Address, literal: bool, allowed: Sequence[Network]) -> str | None:
    """Why an address may not be reached; None when it may."""
    inner = unwrap(address)
    for one in (address, inner):
        if any(one in network for network in METADATA if network.version == one.version):
            return f"{address} is a cloud metadata address"
    if literal or any(inner in network for network in allowed if network.version == inner.version):
        return None
    return f"{address} is not a public address" if _private(inner) or address in LOCAL_NAT64 else None


def _private(address: Address) -> bool:
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return not address.is_global or address.is_multicast or address.is_reserved or site


def parsed(url: str) -> yarl.URL:
    """The URL as the client will use it. Raises StepFailed of type `http.refused`."""
    if any(c <= " " or c == "\x7f" for c in url):
        raise refused(f"{shortened(url)} is not a valid URL: it has a blank or a control character")
    try:
        found = yarl.URL(url)
        host, port = found.raw_host, found.port
    except (ValueError, UnicodeError) as error:
        raise refused(f"{shortened(url)} is not a valid URL: {error}") from None
    if found.scheme not in ("http", "https"):
        raise refused(f"only http and https go out, not {found.scheme or 'a URL without a scheme'}")
    if not host or ("%" in host.partition("%25")[0] and ":" not in host):
        raise refused(f"{shortened(url)} is not a URL with a valid host")
    if port == 0:
        raise refused(f"{shortened(url)} is not a valid URL: there is no port 0")
    return found


def split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an outgoing URL, as the client will use them. Raises StepFailed of type
    `http.refused`."""
    found = parsed(url)
    assert found.raw_host is not None and found.port is not None
    return found.scheme, found.raw_host, found.port


def shortened(url: str) -> str:
    """The URL for a message: without user, password, query and fragment."""
    head, slashes, rest = url.partition("://")
    bare = rest.partition("?")[0].partition("#")[0]
    authority, slash, path = bare.partition("/")
    host = authority.rpartition("@")[2]
    return repr(f"{head}{slashes}{host}{slash}{path}")


def is_literal(url: str, front: str | None) -> bool:
    """Whether the author wrote the host: `front` is the literal text before the first expression (None: all of it)."""
    if front is None:
        return True
    _, found, rest = front.partition("://")
    host, slash, _ = rest.partition("/")
    if not (found and slash and host) or "@" in host:
        return False
    try:
        return split(front) == split(url)
    except StepFailed:
        return False


def refused(message: str) -> StepFailed:
    return StepFailed("http.refused", message, retryable=False)


async def look_up(host: str, port: int, family: int) -> list[Any]:
    """The addresses of a name, from the operating system."""
    import asyncio

    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)


def open_socket(info: Any) -> socket.socket:
    """A socket for an address that was judged; the last step before the connection is made."""
    made = socket.socket(family=info[0], type=info[1], proto=info[2])
    made.setblocking(False)
    return made


class Guard:
    """Judges what one client reaches: aiohttp's resolver, and its maker of sockets."""

    def __init__(self, literal_hosts: frozenset[str], allowed: Sequence[Network]) -> None:
        self._literal = literal_hosts
        self._allowed = allowed
        self._admitted: set[str] = set()
        """Addresses of the author's own hosts."""

    def check(self, url: yarl.URL) -> None:
        """A host that is an address already is asked of no resolver. Raises StepFailed."""
        host = url.raw_host or ""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        self._admit(str(address), host)

    def _admit(self, address: str, host: str) -> None:
        reason = self.judge(address, host)
        if reason is not None:
            raise refused(f"{host}: {reason}; the operator may allow its network with --allow-network")
        if host in self._literal:
            self._admitted.add(address)

    def judge(self, address: str, host: str) -> str | None:
        return judge(ipaddress.ip_address(address.partition("%")[0]), host in self._literal, self._allowed)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> list[Any]:
        """All addresses of a host are good, or none is used."""
        found = await look_up(host, port, family)
        for one in found:
            self._admit(str(one[4][0]).partition("%")[0], host)
        return [
            {
                "hostname": host, "host": target[0], "port": port, "family": kind, "proto": proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for kind, _, proto, _, target in found
        ]  # fmt: skip

    def socket(self, info: Any) -> socket.socket:
        """Raises StepFailed for an address that nobody judged, by whichever way it came here."""
        address = str(info[4][0]).partition("%")[0]
        reason = judge(ipaddress.ip_address(address), address in self._admitted, self._allowed)
        if reason is not None:
            raise refused(f"{reason}; the operator may allow its network with --allow-network")
        return open_socket(info)

    async def close(self) -> None:
        return None
