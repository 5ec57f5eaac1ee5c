"""Where the daemon is asked: the addresses and the socket of its HTTP server."""

from __future__ import annotations

from pathlib import Path

from reactor.config import Config, is_loopback
from reactor.contracts.facts import ConfigWarning, ListenPlain
from reactor.contracts.observe import Observer
from reactor.process.places import socket_path
from reactor.server.app import HttpServer
from reactor.server.auth import Access
from reactor.server.front import Address
from reactor.server.proxies import Proxies
from reactor.server.tls import Papers, Tls

PLAIN = (
    "{option} {host} has no TLS, so tokens and events cross the network in the clear; give --tls-cert and --tls-key,"
    " or name the proxies that have it with --behind-proxy"
)


def tls_of(config: Config) -> Tls | None:
    """Raises ConfigError for papers that cannot be used."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Tls(Papers(config.tls_cert, config.tls_key, config.tls_client_ca))


async def listen(server: HttpServer, config: Config, observer: Observer) -> Path | None:
    """Opens all addresses; the socket. Raises ConfigError."""
    socket, told = socket_path(config.data) if config.store != "memory:" else (None, None)
    if told is not None:
        observer.observe(ConfigWarning(message=told))
    admin = _address(config, *config.admin_address, "--admin-listen", observer) if config.admin_address else None
    await server.open(_address(config, config.host, config.port, "--listen", observer), admin, socket)
    return socket


def _address(config: Config, host: str, port: int, option: str, observer: Observer) -> Address:
    loopback = is_loopback(host)
    if not (loopback or config.tls_cert is not None or config.behind_proxy):
        observer.observe(ListenPlain(message=PLAIN.format(option=option, host=host)))
    names, proxies = frozenset(config.allowed_host), Proxies(config.behind_proxy)
    return Address(host, port, Access(config.admin_token, loopback, names, proxies), option)
