"""`plugin.yaml`: what a plugin is called, how it is started, and the kinds that it brings."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from reactor.kit.durations import DurationError, parse_duration, parse_size

FILE = "plugin.yaml"
MAX_FILE = 1024 * 1024
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class ManifestError(ValueError):
    """What is wrong with a plugin's folder, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ActionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An action that the plugin brings."""

    summary: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """JSON Schema of its options: an object."""
    result: dict[str, Any] | bool | None = None
    """JSON Schema of its result. One that names no properties leaves it open: flows may read any field."""
    repeat: Literal["safe", "keyed", "never"] = "keyed"
    docs: str = ""


class TriggerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A trigger that the plugin brings."""

    summary: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    event_type: str = ""
    """The type of its events; `<plugin>.<trigger>` unless given."""
    identity: bool = False
    """Whether every event has a key of its own, or a cursor."""
    every: str = "10s"
    """Protocol script: how long after one call the next one is."""
    docs: str = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of the process, set by the operating system."""

    memory: str | None = None
    """Of its address space, such as 512MiB."""
    cpu: str | None = None
    """Of processor time in its life, such as 1h."""
    files: int | None = None
    """Of open files."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files are taken from the plugin's folder."""

    ca: str | None = None
    """Certificates to trust instead of the system's."""
    cert: str | None = None
    """Our certificate, where the plugin wants to know us,"""
    key: str | None = None
    """and its key."""
    name: str | None = None
    """The name in the plugin's certificate, where it is not that of the address."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    plugin: str
    """The name: the first part of what it brings, `<plugin>.<action>`."""
    version: str = "0.0.0"
    summary: str = ""
    protocol: Literal["jsonrpc", "grpc", "script"]
    """jsonrpc: one process that stays, a message a line. grpc: one that stays, or runs elsewhere. script: one process a
    call."""
    command: list[str] = msgspec.field(default_factory=list)
    """The program and its arguments; a first part with a / is taken from the plugin's folder."""
    address: str | None = None
    """Protocol grpc: host:port of a plugin that others start. Its files are read on this side only for the checks."""
    tls: Tls | None = None
    """How to trust the address; needed on the loopback only if it has TLS, elsewhere it always has."""
    token: str | None = None
    """The variable of the daemon's environment with the token that the plugin at the address asks for."""
    env: list[str] = msgspec.field(default_factory=list)
    """Variables of the daemon's environment that it gets."""
    timeout: str = "5m"
    """A call that takes longer is given up."""
    limits: Limits = Limits()
    actions: dict[str, ActionSpec] = msgspec.field(default_factory=dict)
    triggers: dict[str, TriggerSpec] = msgspec.field(default_factory=dict)


def manifest_hash(raw: bytes) -> str:
    """What the plugin repeats in its handshake."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def load_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a folder and its hash. Raises ManifestError."""
    path = folder / FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError([f"{path}: {error.strerror or error}"]) from None
    if len(raw) > MAX_FILE:
        raise ManifestError([f"{path}: a manifest has at most 1 MiB"])
    try:
        manifest = msgspec.yaml.decode(raw, type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ManifestError([f"{path}: {error}"]) from None
    problems = [f"{path}: {message}" for message in _problems(manifest)]
    if problems:
        raise ManifestError(problems)
    return manifest, manifest_hash(raw)


def _problems(manifest: Manifest) -> list[str]:
    found = []
    if not _NAME.fullmatch(manifest.plugin):
        found.append(f"plugin: {manifest.plugin!r} is no name: a-z, 0-9 and _, beginning with a letter")
    found += _reached(manifest)
    if not manifest.actions and not manifest.triggers:
        found.append("it brings neither actions nor triggers")
    specs: list[tuple[str, Any]] = [*manifest.actions.items(), *manifest.triggers.items()]
    found += [f"{name!r} is no name of an action or trigger" for name, _ in specs if not _NAME.fullmatch(name)]
    for name, spec in specs:
        if spec.options.get("type", "object") != "object":
            found.append(f"{name}: options is the schema of an object")
        if not isinstance(spec.options.get("properties", {}), dict):
            found.append(f"{name}: options.properties is an object")
    for name, trigger in manifest.triggers.items():
        type = trigger.event_type
        if type and (not _TYPE.fullmatch(type) or type.startswith("reactor.")):
            found.append(f"{name}: event_type {trigger.event_type!r} is no type of its own, such as weather.changed")
        found += _duration(f"{name}: every", trigger.every, 0.05)
    found += _duration("timeout", manifest.timeout, 0.1)
    if manifest.limits.cpu is not None:
        found += _duration("limits.cpu", manifest.limits.cpu, 1)
    if manifest.limits.memory is not None:
        try:
            parse_size(manifest.limits.memory)
        except DurationError as error:
            found.append(f"limits.memory: {error}")
    return found


def _reached(manifest: Manifest) -> list[str]:
    """What is wrong with the way to the program."""
    if manifest.protocol != "grpc":
        found = [f"{name}: it is for protocol grpc" for name in ("address", "tls", "token") if getattr(manifest, name)]
        return found if manifest.command else [*found, "command: it names the program"]
    if (not manifest.command) == (manifest.address is None):
        return ["command names the program, address says where it runs: one of them"]
    if manifest.address is None:
        return [f"{name}: it goes with address" for name in ("tls", "token") if getattr(manifest, name)]
    found = []
    if not _ADDRESS.fullmatch(manifest.address) or not 0 < int(manifest.address.rpartition(":")[2]) < 65536:
        found.append(f"address: {manifest.address!r} is not host:port")
    if manifest.env or manifest.limits != Limits():
        found.append("env and limits are of programs that we start; this one has an address")
    if manifest.tls is not None and (manifest.tls.cert is None) != (manifest.tls.key is None):
        found.append("tls: cert and key go together")
    if manifest.token is None:
        found.append("token: it names the variable with the token that the plugin at the address asks for")
    return found


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _duration(what: str, text: str, least: float) -> list[str]:
    try:
        return [] if parse_duration(text) >= least else [f"{what} is at least {least:g}s"]
    except DurationError as error:
        return [f"{what}: {error}"]
