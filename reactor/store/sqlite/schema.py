"""Bringing a file to the present schema, and looking at it before."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import apsw

from reactor.contracts.errors import ConfigError

CHECK_BELOW = 256 * 1024 * 1024
"""A file larger than this is not checked at start."""


def migrations() -> list[tuple[int, str]]:
    """Numbers and texts, in order."""
    folder = importlib.resources.files("reactor.store.sqlite.migrations")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name.partition("_")[0]), entry.read_text("utf-8")) for entry in found)


def migrate(connection: apsw.Connection) -> None:
    """Applies what is missing, each migration in one transaction. Raises ConfigError for a newer file."""
    version = int(connection.pragma("user_version"))
    known = migrations()
    if version > known[-1][0]:
        raise ConfigError(
            f"the store was written by a newer reactor (schema {version}, this one knows {known[-1][0]});"
            " use that version, or another data directory"
        )
    for number, text in known:
        if number > version:
            connection.execute(f"BEGIN IMMEDIATE; {text}; PRAGMA user_version = {number}; COMMIT")


def was_left_open(connection: apsw.Connection) -> bool:
    """Whether the process before this one ended without closing the store."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'facts'").fetchall():
        return False
    clean = connection.execute("SELECT value FROM facts WHERE name = 'clean'").fetchone()
    return clean is not None and clean[0] != "yes"


def quick_check(connection: apsw.Connection, path: Path) -> None:
    """After an unclean end, for a small file: looks for damage. Raises ConfigError with what to do."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "facts" not in tables or path.stat().st_size > CHECK_BELOW:
        return
    clean = connection.execute("SELECT value FROM facts WHERE name = 'clean'").fetchone()
    if clean is not None and clean[0] == "yes":
        return
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise ConfigError(
            f"{path} is damaged ({found[0]}); move it away and start with a backup, or with none to begin anew"
        )
