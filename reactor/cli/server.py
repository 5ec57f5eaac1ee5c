"""Where `--server` leads: a socket, or a URL, whose path is kept and whose certificate is checked."""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any

PAPERS = {
    "server_ca": "the authority of an https server's certificate, in PEM (REACTOR_SERVER_CA; else the system's)",
    "server_cert": "the certificate to show to an https server, in PEM (REACTOR_SERVER_CERT)",
    "server_key": "its key, in PEM (REACTOR_SERVER_KEY)",
}


class BadServer(Exception):
    """`--server` or one of its files cannot be used; the message is one line."""


class Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def add_papers(parser: argparse.ArgumentParser) -> None:
    for name, text in PAPERS.items():
        parser.add_argument("--" + name.replace("_", "-"), metavar="FILE", help=text)


def papers(options: Mapping[str, Any]) -> dict[str, str]:
    """The files that are given, by flag or variable."""
    given = {name: options.get(name) or os.environ.get(f"REACTOR_{name.upper()}") for name in PAPERS}
    return {name: value for name, value in given.items() if value}


def connect(server: str, files: Mapping[str, str], timeout: float | None) -> tuple[http.client.HTTPConnection, str]:
    """A connection that is not open yet, and the path that goes before each path. Raises BadServer."""
    if server.startswith("unix:"):
        return Unix(server.removeprefix("unix:"), timeout), ""
    if server.startswith("/"):
        return Unix(server, timeout), ""
    try:
        parts = urllib.parse.urlsplit(server if "://" in server else f"http://{server}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadServer(f"--server {server} is not a valid URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadServer(f"--server {server} is not a URL such as https://reactor.example:8420, nor a socket")
    base = urllib.parse.quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=_context(files)), base
    return http.client.HTTPConnection(host, port, timeout=timeout), base


def _context(files: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.get("server_ca"))
        if "server_cert" in files:
            context.load_cert_chain(files["server_cert"], files.get("server_key"))
    except (OSError, ValueError) as error:
        given = ", ".join(f"--{name.replace('_', '-')} {path}" for name, path in files.items())
        raise BadServer(f"{given} cannot be used: {error.strerror if isinstance(error, OSError) else error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unreached(server: str, error: OSError) -> str:
    """Why no daemon answers, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {server} is not trusted ({error.verify_message}); name the authority that signed it"
            " with --server-ca FILE"
        )
    if isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).replace("_", " ").lower()
        return f"no TLS connection to {server} ({said}); a server that asks for a certificate needs --server-cert FILE"
    return f"no daemon answers at {server} ({error.strerror or error})"
