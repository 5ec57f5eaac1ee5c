"""Options: a flag, an environment variable, a key of `reactor.yaml`, in that order; read once, then frozen."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactor.contracts.errors import ConfigError
from reactor.process.option_values import (
    Given,
    Option,
    convert,
    from_flag,
    from_variable,
    read_file,
    token,
    unknown_variables,
)

ALLOW_WORDS = ("shell", "script")


OPTIONS: tuple[Option, ...] = (
    Option("flows", "list", ["./flows"], "directories of flows, watched"),
    Option("plugins", "list", [], "directories of plugins, watched: folders with a plugin.yaml"),
    Option("data", "text", "./data", "directory of the store, the socket and the lock"),
    Option("listen", "text", "127.0.0.1:8420", "address and port of the HTTP server; port 0 takes a free one"),
    Option(
        "admin_listen",
        "text",
        None,
        "address and port of all but /hooks and POST /api/v1/events; else --listen has all",
    ),
    Option("tls_cert", "text", None, "certificate chain of the HTTP server, in PEM; read again on SIGHUP"),
    Option("tls_key", "text", None, "key of --tls-cert, in PEM, without a password"),
    Option("tls_client_ca", "text", None, "authority that must have signed the certificates of clients, in PEM"),
    Option("behind_proxy", "list", [], "proxies, by address or network, whose Forwarded and X-Forwarded-* count"),
    Option("admin_token", "text", None, "token for everything but /hooks; only from the environment", secret=True),
    Option("store", "text", "sqlite", "sqlite, sqlite:///DIRECTORY or memory:"),
    Option("allow", "list", [], "what flows may do beyond the safe set: shell"),
    Option("file_root", "text", None, "where file paths that are all expression may point"),
    Option("env", "list", [], "environment variables that flows may read"),
    Option("secrets", "text", "/run/secrets", "directory of secret files"),
    Option("allowed_host", "list", [], "further names that the Host header may have"),
    Option("allow_network", "list", [], "private networks that computed hosts may reach, such as 10.0.0.0/8"),
    Option("max_active_runs", "whole", "1000", "runs in memory at once; the rest waits in the store"),
    Option("drain", "duration", "30s", "how long SIGTERM waits for running steps; 0: not at all", zero="not at all"),
    Option("log_level", "choice", "info", "debug, info, warning or error", ("debug", "info", "warning", "error")),
    Option("log_format", "choice", "auto", "text, json, or auto: text on a terminal", ("auto", "text", "json")),
    Option("otlp", "text", None, "an OpenTelemetry collector for traces, such as http://127.0.0.1:4318"),
    Option("retention", "duration", "30d", "how long ended runs and their events are kept"),
    Option("retention_count", "whole", "1000000", "how many runs are kept"),
    Option("retention_bytes", "size", "10GiB", "how large the store grows; at most half of its volume by default"),
    Option("disk_floor", "size", "64MiB", "free space below which nothing more is accepted; 0: none", zero="none"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The options, frozen. Durations are seconds, sizes bytes."""

    flows: tuple[str, ...]
    plugins: tuple[str, ...]
    data: Path
    host: str
    port: int
    admin_address: tuple[str, int] | None
    admin_token: str | None
    tls_cert: str | None
    tls_key: str | None
    tls_client_ca: str | None
    behind_proxy: tuple[str, ...]
    store: str
    allow: frozenset[str]
    file_root: str | None
    env: tuple[str, ...]
    secrets: Path
    allowed_host: tuple[str, ...]
    allow_networks: tuple[str, ...]
    max_active_runs: int
    drain: float
    log_level: str
    log_format: str
    otlp: str | None
    retention: float
    retention_count: int
    retention_bytes: int
    disk_floor: int
    origins: Mapping[str, tuple[Any, str]]
    """For --show-config: each option's value and where it came from."""
    warnings: tuple[str, ...] = ()
    """What someone should look at, though the daemon can start."""

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `reactor run`."""
    for option in OPTIONS:
        if option.secret:
            continue
        flag = option.flag
        shown = ", ".join(option.default) if isinstance(option.default, list) else option.default
        text = f"{option.help} ({option.variable}{f', {shown}' if shown not in (None, '') else ''})".replace("%", "%%")
        if option.kind == "list":
            parser.add_argument(flag, action="append", dest=option.name, help=text)
        else:
            parser.add_argument(flag, dest=option.name, help=text, choices=option.choices or None)
    parser.add_argument("--config", help="a file of options (./reactor.yaml where it exists)")


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """Raises ConfigError with the option's name and what it wants."""
    environ = os.environ if environ is None else environ
    file = read_file(flags.get("config") or environ.get("REACTOR_CONFIG"), OPTIONS)
    raw: dict[str, Given] = {}
    for option in OPTIONS:
        if flags.get(option.name) is not None and not option.secret:
            raw[option.name] = from_flag(option, flags[option.name])
        elif environ.get(option.variable, "").strip():
            raw[option.name] = from_variable(option, environ[option.variable])
        elif option.name in file:
            raw[option.name] = file[option.name]
        else:
            raw[option.name] = Given(option.default, "default")
    values = {option.name: convert(option, raw[option.name]) for option in OPTIONS}
    host, port = parse_address(values["listen"])
    admin = parse_address(values["admin_listen"], "--admin-listen") if values["admin_listen"] else None
    config = Config(
        flows=tuple(values["flows"]),
        plugins=tuple(values["plugins"]),
        data=Path(values["data"]),
        host=host,
        port=port,
        admin_address=admin,
        admin_token=token(values["admin_token"], "REACTOR_ADMIN_TOKEN"),
        tls_cert=values["tls_cert"],
        tls_key=values["tls_key"],
        tls_client_ca=values["tls_client_ca"],
        behind_proxy=tuple(values["behind_proxy"]),
        store=values["store"],
        allow=frozenset(values["allow"]),
        file_root=values["file_root"],
        env=tuple(values["env"]),
        secrets=Path(values["secrets"]),
        allowed_host=tuple(values["allowed_host"]),
        allow_networks=tuple(values["allow_network"]),
        max_active_runs=values["max_active_runs"],
        drain=values["drain"],
        log_level=values["log_level"],
        log_format=values["log_format"],
        otlp=values["otlp"] or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
        retention=values["retention"],
        retention_count=values["retention_count"],
        retention_bytes=values["retention_bytes"],
        disk_floor=values["disk_floor"],
        origins={
            o.name: ("***" if o.secret and raw[o.name].value else raw[o.name].value, raw[o.name].origin)
            for o in OPTIONS
        },
        warnings=tuple(unknown_variables(environ, OPTIONS)),
    )
    _check(config)
    return config


def _check(config: Config) -> None:
    unknown = sorted(config.allow - set(ALLOW_WORDS))
    if unknown:
        raise ConfigError(f"--allow {unknown[0]}: there is {', '.join(ALLOW_WORDS)}")
    for network in config.allow_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"--allow-network {network}: {error}") from None
    for proxy in config.behind_proxy:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            raise ConfigError(
                f"--behind-proxy {proxy}: name proxies by address or network, such as 10.0.0.7 or 10.0.0.0/8"
            ) from None
    if (config.tls_cert is None) != (config.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together; give both")
    if config.tls_client_ca is not None and config.tls_cert is None:
        raise ConfigError("--tls-client-ca needs --tls-cert and --tls-key")
    if config.otlp is not None and not config.otlp.startswith(("http://", "https://")):
        raise ConfigError(f"--otlp {config.otlp}: it is a URL such as http://127.0.0.1:4318")
    outer = [host for host, _ in ((config.host, 0), config.admin_address or ("localhost", 0)) if not is_loopback(host)]
    if outer and not config.admin_token:
        raise ConfigError(
            f"listening on {outer[0]} lets others in, and no token is set; set REACTOR_ADMIN_TOKEN"
            ' (such as REACTOR_ADMIN_TOKEN="$(openssl rand -hex 32)"), or listen on 127.0.0.1'
        )
    if config.admin_token is not None and len(config.admin_token) < 16:
        raise ConfigError("REACTOR_ADMIN_TOKEN has at least 16 characters")
    if config.admin_token is not None and len(set(config.admin_token)) == 1:
        raise ConfigError(
            "REACTOR_ADMIN_TOKEN is one character again and again, which anyone can guess;"
            ' make one with REACTOR_ADMIN_TOKEN="$(openssl rand -hex 32)"'
        )


def url_of(scheme: str, host: str, port: int) -> str:
    """The URL of an address; an IPv6 address stands in brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def parse_address(text: str, option: str = "--listen") -> tuple[str, int]:
    """`127.0.0.1:8420` or `[::1]:8420`. Raises ConfigError, which names the option."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{option} {text!r} is an address and a port such as 127.0.0.1:8420")
    return host, int(port)
