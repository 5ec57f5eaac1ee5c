"""Who sent a request: its connection's other end, or whom a proxy of ours names in `Forwarded` (RFC 7239) or
`X-Forwarded-*`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PAIR = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Sender:
    address: str
    host: str
    """What the sender called this server: its Host header, as the proxy got it."""
    forwarded: bool = False
    """Whether a proxy sent it on."""


@dataclass(frozen=True, slots=True)
class _Hop:
    address: str
    host: str | None


class Proxies:
    """`networks` are addresses and networks of proxies whose word counts. Raises ValueError for what is neither."""

    def __init__(self, networks: tuple[str, ...] = ()) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(one, strict=False) for one in networks]

    def sender(self, peer: str, headers: Mapping[str, str]) -> Sender:
        host = headers.get("host", "")
        if not self._networks or not self._trusts(peer):
            return Sender(peer, host)
        hops = _forwarded(headers["forwarded"]) if "forwarded" in headers else _x_forwarded(headers)
        if not hops:
            return Sender(peer, host)
        found = hops[-1]
        for hop in reversed(hops):
            found = hop
            if not self._trusts(hop.address):
                break
        return Sender(found.address, found.host or host, True)

    def _trusts(self, address: str) -> bool:
        try:
            given = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(given, ipaddress.IPv6Address) and given.ipv4_mapped is not None:
            given = given.ipv4_mapped
        return any(given in network for network in self._networks)


def _node(text: str) -> str:
    """The address of a node: `192.0.2.1:80`, `[2001:db8::1]:80`, `unknown`."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _forwarded(header: str) -> list[_Hop]:
    """The hops, the sender's first; none when the header is not well-formed."""
    hops: list[_Hop] = []
    pairs: dict[str, str] = {}
    place = 0
    while place <= len(header):
        match = _PAIR.match(header, place)
        if match is None:
            return []
        value = match[2]
        pairs[match[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        place = match.end()
        end = header[place : place + 1]
        if end not in ("", ";", ","):
            return []
        if end != ";":
            hops.append(_Hop(_node(pairs.get("for", "unknown")), pairs.get("host")))
            pairs = {}
        place += 1
    return hops


def _x_forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    given = headers.get("x-forwarded-for", "")
    if not given:
        return []
    host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip() or None
    return [_Hop(_node(part), host) for part in given.split(",")]
