"""TLS of the listeners: 1.2 and later, a client's certificate where an authority is named, and files read again while
the server runs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from reactor.contracts.errors import ConfigError
from reactor.contracts.facts import TlsLoaded, TlsRefused
from reactor.contracts.observe import Observer


@dataclass(frozen=True, slots=True)
class Papers:
    """Files in PEM: the server's chain, its key, and the authority of clients (None: clients need no certificate)."""

    cert: str
    key: str
    client_ca: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises ConfigError, which names the file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        for option, path in (("--tls-cert", self.cert), ("--tls-key", self.key), ("--tls-client-ca", self.client_ca)):
            _readable(option, path)
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"--tls-cert {self.cert} and --tls-key {self.key} are not a certificate chain and its key, in PEM"
                f" and without a password ({_words(error)})"
            ) from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise ConfigError(
                    f"--tls-client-ca {self.client_ca} is not a certificate in PEM ({_words(error)})"
                ) from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _readable(option: str, path: str | None) -> None:
    if path is None:
        return
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be read: {error.strerror or error}") from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def _words(error: Exception) -> str:
    said = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return said.replace("_", " ").lower()


class Tls:
    """The context of new connections. `reload` puts another in its place; open connections stay as they are."""

    def __init__(self, papers: Papers) -> None:
        self._papers = papers
        self._current = papers.context()
        self.context = papers.context()
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Raises ConfigError; what was loaded before goes on then."""
        self._current = self._papers.context()

    def refresh(self, observer: Observer) -> None:
        """As `reload`, and says what came of it."""
        try:
            self.reload()
        except ConfigError as error:
            observer.observe(TlsRefused(error=str(error)))
        else:
            observer.observe(TlsLoaded(cert=self._papers.cert))

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current
