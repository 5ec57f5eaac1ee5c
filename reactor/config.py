"""Options: a flag, an environment variable, a key of `reactor.yaml`, in that order; read once, then frozen."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from reactor.contracts.durations import DurationError, parse_duration, parse_size
from reactor.contracts.errors import ConfigError

ALLOW_WORDS = ("shell", "script")


class Option(msgspec.Struct, frozen=True):
    """One option. `kind` is text, list, duration, size, whole or choice."""

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        return f"REACTOR_{self.name.upper()}"


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
    Option("admin_token", "text", None, "token for everything but /hooks; only from the environment", secret=True),
    Option("store", "text", "sqlite", "sqlite, sqlite:///DIRECTORY or memory:"),
    Option("allow", "list", [], "what flows may do beyond the safe set: shell"),
    Option("file_root", "text", None, "where file paths that are all expression may point"),
    Option("env", "list", [], "environment variables that flows may read"),
    Option("secrets", "text", "/run/secrets", "directory of secret files"),
    Option("allowed_host", "list", [], "further names that the Host header may have"),
    Option("allow_network", "list", [], "private networks that computed hosts may reach, such as 10.0.0.0/8"),
    Option("max_active_runs", "whole", 1000, "runs in memory at once; the rest waits in the store"),
    Option("drain", "duration", "30s", "how long SIGTERM waits for running steps"),
    Option("log_level", "choice", "info", "debug, info, warning or error", ("debug", "info", "warning", "error")),
    Option("log_format", "choice", "auto", "text, json, or auto: text on a terminal", ("auto", "text", "json")),
    Option("otlp", "text", None, "an OpenTelemetry collector for traces, such as http://127.0.0.1:4318"),
    Option("retention", "duration", "30d", "how long ended runs and their events are kept"),
    Option("retention_count", "whole", 1_000_000, "how many runs are kept"),
    Option(
        "retention_bytes",
        "size",
        "10GiB",
        "how large the store grows; at most half of its volume by default",
    ),
    Option("disk_floor", "size", "64MiB", "free space below which nothing more is accepted"),
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
        flag = "--" + option.name.replace("_", "-")
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
    file = _file(flags.get("config") or environ.get("REACTOR_CONFIG"))
    raw: dict[str, tuple[Any, str]] = {}
    for option in OPTIONS:
        if flags.get(option.name) is not None and not option.secret:
            raw[option.name] = (flags[option.name], "flag")
        elif environ.get(option.variable):
            value: Any = environ[option.variable]
            raw[option.name] = (
                [v for v in value.split(",") if v] if option.kind == "list" else value,
                option.variable,
            )
        elif option.name in file and not option.secret:
            value = file[option.name]
            raw[option.name] = (
                [value] if option.kind == "list" and isinstance(value, str) else value,
                "reactor.yaml",
            )
        else:
            raw[option.name] = (option.default, "default")
    values = {option.name: _convert(option, raw[option.name][0]) for option in OPTIONS}
    host, port = parse_address(values["listen"])
    admin = parse_address(values["admin_listen"], "--admin-listen") if values["admin_listen"] else None
    config = Config(
        flows=tuple(values["flows"]),
        plugins=tuple(values["plugins"]),
        data=Path(values["data"]),
        host=host,
        port=port,
        admin_address=admin,
        admin_token=values["admin_token"],
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
        origins={o.name: ("***" if o.secret and raw[o.name][0] else raw[o.name][0], raw[o.name][1]) for o in OPTIONS},
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


def _file(name: str | None) -> dict[str, Any]:
    path = Path(name or "reactor.yaml")
    if not path.exists():
        if name:
            raise ConfigError(f"the configuration file {name} does not exist")
        return {}
    try:
        found = msgspec.yaml.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is a map of options")
    names = {option.name for option in OPTIONS}
    keys = {str(key).replace("-", "_"): value for key, value in found.items()}
    for key in keys:
        if key not in names:
            raise ConfigError(f"{path}: there is no option {key}")
        if key == "admin_token":
            raise ConfigError(f"{path}: a token does not belong into a file; set REACTOR_ADMIN_TOKEN")
    return keys


def _convert(option: Option, value: Any) -> Any:
    if value is None:
        return None
    try:
        if option.kind == "list":
            return [str(item) for item in value]
        if option.kind == "duration":
            return float(value) if isinstance(value, (int, float)) else parse_duration(value)
        if option.kind == "size":
            return value if isinstance(value, int) else parse_size(value)
        if option.kind == "whole":
            number = int(value)
            if number < 1:
                raise ConfigError(f"{option.name} is at least 1")
            return number
        if option.choices and value not in option.choices:
            raise ConfigError(f"{option.name} is one of {', '.join(option.choices)}, not {value!r}")
        return str(value)
    except (DurationError, ValueError, TypeError) as error:
        raise ConfigError(f"{option.name} ({option.variable}): {error}") from None


def parse_address(text: str, option: str = "--listen") -> tuple[str, int]:
    """`127.0.0.1:8420` or `[::1]:8420`. Raises ConfigError, which names the option."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{option} {text!r} is an address and a port such as 127.0.0.1:8420")
    return host, int(port)
