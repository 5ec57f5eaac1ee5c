"""`reactor doctor`: what is wrong, or soon will be, with store, disk, clock, permissions and flows."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reactor.config import add_options, load
from reactor.contracts.errors import ConfigError

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
Finding = tuple[str, str, str]
"""(ok, warning or error; what was looked at; what was found, and what to do)"""
SANE_YEAR = 2024
LOOKED_AT = 100_000
"""Rows of each table that are read, the newest first."""


def add(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="prints JSON")


def run(options: Any) -> int:
    from reactor.cli.client import show_json

    config, found = _configuration(options)
    for check in (_store, _disk, _clock, _permissions, _limits, _secrets, _flows, _daemon):
        try:
            found.extend(check(config))
        except (OSError, ValueError, ConfigError) as error:
            found.append(("error", check.__name__.strip("_"), str(error)))
    failed = any(level == "error" for level, _, _ in found)
    if options.json:
        show_json({"ok": not failed, "findings": [{"level": a, "what": b, "found": c} for a, b, c in found]})
    else:
        for level, what, text in found:
            print(f"{MARKS[level]} {what}: {text}")
        print("all is well" if not failed else "something is wrong", file=sys.stderr)
    return 1 if failed else 0


def _configuration(options: Any) -> tuple[Any, list[Finding]]:
    """What the running daemon says that it uses, but for what a flag names; else what this command reads."""
    from reactor.cli.client import Client, ClientError, NoDaemon

    config = load(vars(options))
    client = Client(argparse.Namespace(server=None, data=options.data or str(config.data)), 5.0)
    try:
        status, told = client.call("GET", "/api/v1/configuration")
    except (NoDaemon, ClientError):
        return config, []
    if status != 200:
        return config, [("warning", "configuration", f"the running daemon does not tell its own (status {status})")]
    values = {name: one["value"] for name, one in told["options"].items() if one["value"] is not None}
    place = Path(told["directory"])
    for name in ("data", "secrets", "file_root"):
        if name in values:
            values[name] = str(place / values[name])
    for name in ("flows", "plugins"):
        values[name] = [str(place / one) for one in values.get(name, [])]
    values = {name: value for name, value in values.items() if name not in ("listen", "admin_listen", "otlp")}
    given = {name: value for name, value in vars(options).items() if value is not None and name != "data"}
    config = load({**values, **given}, {})
    return config, [("ok", "configuration", f"that of the running daemon, with its data in {config.data}")]


def _directory(config: Any) -> Path:
    """Where the store is."""
    if config.store.startswith("sqlite:///"):
        return Path(config.store.removeprefix("sqlite://"))
    return Path(config.data)


def _store(config: Any) -> Iterator[Finding]:
    import apsw

    from reactor.store.sqlite.files import refuse_network
    from reactor.store.sqlite.schema import migrations
    from reactor.store.sqlite.store import library_is_safe

    version = apsw.sqlite_lib_version()
    safe = library_is_safe(tuple(int(part) for part in version.split(".")))  # type: ignore[arg-type]
    yield ("ok" if safe else "error", "SQLite", f"{version}{'' if safe else ' can lose commits; 3.51.3 is needed'}")
    path = _directory(config) / "reactor.db"
    if config.store != "sqlite" and not config.store.startswith("sqlite:///"):
        yield "warning", "store", f"{config.store}: nothing to look at"
        return
    if not path.exists():
        yield "ok", "store", f"{path} does not exist yet"
        return
    refuse_network(_directory(config))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    try:
        schema = int(connection.pragma("user_version"))
        known = migrations()[-1][0]
        if schema > known:
            yield "error", "store", f"{path} was written by a newer reactor (schema {schema}, this one knows {known})"
            return
        check = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if check != ["ok"]:
            yield "error", "store", f"{path} is damaged: {check[0]}; restore a backup"
            return
        size = path.stat().st_size
        statuses = connection.execute("SELECT CAST(status AS BLOB), count(*) FROM runs GROUP BY status")
        counts = {bytes(status).decode("utf-8", "backslashreplace"): n for status, n in statuses}
        shown = ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items())) or "no runs"
        yield "ok", "store", f"{path}: sound, {size / 2**20:,.1f} MiB, {shown}"
        if counts.get("paused"):
            yield (
                "warning",
                "runs",
                f"{counts['paused']:,} paused: `reactor runs list --status paused`, then resume or cancel",
            )
        if schema >= 2:
            yield from _payloads(config, connection)
        if schema == known:
            yield from _unreadable(config)
    except apsw.Error as error:
        yield "error", "store", f"{path} cannot be read: {error}"
    finally:
        connection.close()


def _unreadable(config: Any) -> Iterator[Finding]:
    import contextlib

    import apsw

    from reactor.store.payloads import Payloads
    from reactor.store.sqlite.database import Database
    from reactor.store.sqlite.look import look_through

    directory = _directory(config)
    database = Database(str(directory / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    database.payloads, database.unreadable = Payloads(directory / "payloads"), set()
    with contextlib.closing(database):
        count = look_through(database, LOOKED_AT)
    if count:
        places = ", ".join(sorted({table for table, _ in database.unreadable}))
        yield "warning", "rows", f"{count:,} cannot be read ({places}); lists show them in their place, with the reason"
    else:
        yield "ok", "rows", "all can be read"


def _payloads(config: Any, connection: Any) -> Iterator[Finding]:
    from reactor.store.payloads import Payloads

    payloads = Payloads(_directory(config) / "payloads")
    named = {row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM payload_refs")}
    lost = [sha256 for sha256 in named if not payloads.path(sha256).exists()]
    if lost:
        yield "error", "payloads", f"{len(lost):,} of {len(named):,} files are gone, {lost[0][:12]}… first"
    elif named:
        yield "ok", "payloads", f"{len(named):,} files"


def _disk(config: Any) -> Iterator[Finding]:
    data = _directory(config)
    place = data if data.exists() else data.absolute().parent
    free = shutil.disk_usage(place).free
    level = "error" if free < config.disk_floor else "warning" if free < 5 * config.disk_floor else "ok"
    yield level, "disk", f"{free / 2**30:,.1f} GiB free; under {config.disk_floor / 2**20:,.0f} MiB nothing is accepted"
    if place.exists() and os.access(place, os.W_OK):
        with tempfile.TemporaryFile(dir=place) as file:
            begun = time.perf_counter()
            for _ in range(5):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
            each = (time.perf_counter() - begun) / 5
        level = "warning" if each > 0.05 else "ok"
        yield level, "sync", f"{each * 1000:.1f} ms for a write that stays; each commit waits that long"


def _clock(config: Any) -> Iterator[Finding]:
    year = time.gmtime().tm_year
    if year < SANE_YEAR:
        yield "error", "clock", f"it is {year} here; cron, signatures and certificates need the right time (NTP)"
    else:
        yield "ok", "clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    import zoneinfo

    zones = len(zoneinfo.available_timezones())
    yield ("ok" if zones > 100 else "error", "zones", f"{zones} time zones known")


def _permissions(config: Any) -> Iterator[Finding]:
    data = _directory(config)
    if data.exists():
        mode = stat.S_IMODE(data.stat().st_mode)
        if mode & 0o077:
            yield "warning", "data", f"{data} is open to others (mode {mode:o}); chmod 700 {data}"
        elif not os.access(data, os.W_OK):
            yield "error", "data", f"{data} cannot be written by this user"
        else:
            yield "ok", "data", f"{data} is for its owner only"
    if os.geteuid() == 0:
        yield "warning", "user", "this is root; a user of its own is safer (`reactor service` makes a unit with one)"


def _limits(config: Any) -> Iterator[Finding]:
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    level = "ok" if files >= 4096 else "warning"
    yield (
        level,
        "files",
        f"{files:,} open files allowed{'' if level == 'ok' else '; each client needs one: ulimit -n 65536'}",
    )


def _secrets(config: Any) -> Iterator[Finding]:
    folder = Path(config.secrets)
    if not folder.is_dir():
        yield "ok", "secrets", f"{folder} is not there; secrets come from REACTOR_SECRET_… only"
        return
    loose = [p.name for p in folder.iterdir() if p.is_file() and stat.S_IMODE(p.stat().st_mode) & 0o007]
    if loose:
        yield "warning", "secrets", f"{len(loose)} files in {folder} can be read by everyone, {loose[0]} first"
    else:
        yield "ok", "secrets", str(folder)


def _flows(config: Any) -> Iterator[Finding]:
    from flows.check import check_paths
    from reactor.app import make_kinds
    from reactor.secrets.lookup import Secrets

    paths = [Path(flows) for flows in config.flows if Path(flows).is_dir()]
    if not paths:
        yield "warning", "flows", f"there is no directory {', '.join(config.flows)}"
        return
    problems, count = check_paths(paths, make_kinds(config, Secrets(config.secrets)))
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        yield "error", "flows", f"{len(errors)} errors in {count} flows; first {errors[0]}"
    else:
        yield "ok", "flows", f"{count} flows, no errors"


def _daemon(config: Any) -> Iterator[Finding]:
    import argparse as _argparse

    from reactor.cli.client import Client, NoDaemon

    try:
        status, ready = Client(_argparse.Namespace(server=None, data=str(config.data)), 5.0).call("GET", "/readyz")
    except NoDaemon:
        yield "ok", "daemon", "none runs on this data directory"
        return
    away = {**ready.get("sources", {}), **ready.get("connections", {})}
    if status != 200:
        yield "error", "daemon", f"not ready: store {ready.get('store')}"
    elif away:
        yield "warning", "daemon", "ready, but not connected: " + ", ".join(f"{k} ({v})" for k, v in away.items())
    else:
        yield "ok", "daemon", f"version {ready['version']} is ready, {ready['flows']} flows"
