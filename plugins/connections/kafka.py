"""A Kafka cluster: a producer that all share, and the settings that consumers begin with."""

from __future__ import annotations

import functools
import logging
import ssl
import urllib.parse
from typing import Any, ClassVar, Literal

import msgspec

from reactor.contracts.errors import NotConnected
from reactor.contracts.kinds import ConnectionKind


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    servers: str
    """host:9092, several by comma."""
    security: Literal["none", "tls"] = "none"
    """Whether the connection is encrypted."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How one signs in (SASL); PLAIN when there is a user."""
    user: str | None = None
    """Signs in with this name,"""
    password: str | None = None
    """and this password."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path."""
    cert: str | None = None
    """The client's certificate file,"""
    key: str | None = None
    """and its key."""


class Client:
    """`producer` is idempotent and waits for all replicas; `settings` are for a consumer's constructor."""

    def __init__(self, producer: Any, settings: dict[str, Any]) -> None:
        self.producer = producer
        self.settings = settings


class Kafka(ConnectionKind[Settings, Client]):
    name = "kafka"
    summary = "A Kafka cluster."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("kafka", "kafka+tls")
    example = (
        "kind: kafka\nsettings:\n  servers: a.example:9093, b.example:9093\n  security: tls\n  user: reactor\n"
        "  password: ${{ secrets.kafka_password }}"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        parts = urllib.parse.urlsplit(url)
        user, _, servers = parts.netloc.rpartition("@")
        found: dict[str, object] = {"servers": servers, "security": "tls" if parts.scheme == "kafka+tls" else "none"}
        if user:
            name, _, password = user.partition(":")
            found |= {"user": urllib.parse.unquote(name), "password": urllib.parse.unquote(password)}
        return found

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        found = []
        for server in options.servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit():
                found.append(("servers", f"{server.strip()!r} is no host:port"))
        if (options.user is None) != (options.password is None):
            found.append(("user", "user and password belong together"))
        return found[:1]

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka's producer and consumer. Raises NotConnected."""
        options = self.options
        sasl = options.user is not None
        protocol = {(False, False): "PLAINTEXT", (False, True): "SASL_PLAINTEXT", (True, False): "SSL"}
        given: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in options.servers.split(",")],
            "client_id": "reactor",
            "security_protocol": protocol.get((options.security == "tls", sasl), "SASL_SSL"),
            "request_timeout_ms": 15_000,
            "metadata_max_age_ms": 30_000,
        }
        if sasl:
            given |= {
                "sasl_mechanism": options.mechanism or "PLAIN",
                "sasl_plain_username": options.user,
                "sasl_plain_password": options.password,
            }
        if options.security == "tls":
            try:
                context = ssl.create_default_context(cafile=options.ca)
                if options.cert is not None:
                    context.load_cert_chain(options.cert, options.key)
            except (OSError, ssl.SSLError) as error:
                raise NotConnected(f"kafka: the certificates cannot be read: {error}") from None
            given["ssl_context"] = context
        return given

    async def open(self) -> Client:
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        reasons = _reasons()
        settings = self.settings()
        producer = AIOKafkaProducer(**settings, enable_idempotence=True, acks="all")
        try:
            await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            raise NotConnected(f"kafka: {reasons.of(settings['bootstrap_servers']) or error}") from None
        return Client(producer, settings)

    async def check(self, client: Client) -> None:
        from aiokafka.errors import KafkaError

        try:
            await client.producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotConnected(f"kafka: {error}") from None

    async def close(self, client: Client) -> None:
        await client.producer.stop()


class _Reasons(logging.Handler):
    """Why a server could not be reached: the library says it in its log alone, and raises that none could."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._last: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 3:
            host, port, error = record.args
            if len(self._last) > 100:
                self._last.clear()
            self._last[f"{host}:{port}"] = str(error)

    def of(self, servers: list[str]) -> str | None:
        """The last reason of one of them; it is forgotten then."""
        found = [f"{server}: {reason}" for server in servers if (reason := self._last.pop(server, None))]
        return found[0] if found else None


@functools.cache
def _reasons() -> _Reasons:
    """Also keeps the library's own lines out of the log: what matters comes up as an error."""
    handler, logger = _Reasons(), logging.getLogger("aiokafka")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.ERROR)
    return handler
