"""What programs write: JSON behind a byte order mark or a banner, and why a program could not be started."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from reactor.contracts.text import not_utf8, shown, without_bom

MAX_BANNER = 1_000
"""Lines in front of a JSON value that are looked at."""
LATER = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})
"""Errors that pass: another try may go well."""


def json_of(data: bytes) -> tuple[Any, bytes]:
    """The JSON value that a program wrote, and what it wrote in front of it: a banner ends with its line, and is
    followed by an object or a list. Raises ValueError."""
    data = without_bom(data).strip()
    try:
        return msgspec.json.decode(data), b""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = not_utf8(data) or str(error)
    place = -1
    for _ in range(MAX_BANNER):
        place = data.find(b"\n", place + 1)
        if place < 0:
            break
        rest = without_bom(data[place + 1 :].lstrip(b" \t\r"))
        if not rest.startswith((b"{", b"[")):
            continue
        try:
            return msgspec.json.decode(rest), data[:place]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    raise ValueError(reason)


def explain(program: str, cwd: str | Path | None, env: Mapping[str, str], error: OSError) -> tuple[str, bool]:
    """Why a program could not be started, and whether another try may go well."""
    reason = f"{shown(program)}: {error.strerror or error}"
    if error.errno in LATER:
        return reason, True
    folder = Path(cwd) if cwd is not None else Path.cwd()
    if not folder.is_dir():
        return f"the folder {shown(str(folder))} does not exist", False
    if error.errno == errno.E2BIG:
        return f"{shown(program)}: its arguments and variables are too large; give it data by stdin", False
    file = folder / program if "/" in program else _on_path(program, env)
    if file is None or not os.path.lexists(file):
        where = "" if "/" in program else f" on the PATH ({env.get('PATH', '')})"
        return f"there is no program {shown(program)}{shown(where)}", False
    return _unfit(file, error) or reason, False


def _on_path(program: str, env: Mapping[str, str]) -> Path | None:
    found = shutil.which(program, mode=os.F_OK, path=env.get("PATH"))
    return Path(found) if found is not None else None


def _unfit(file: Path, error: OSError) -> str | None:
    name = shown(str(file))
    if file.is_dir():
        return f"{name} is a folder, not a program"
    try:
        with file.open("rb") as opened:
            first = opened.read(300).partition(b"\n")[0]
    except OSError:
        first = b""
    if error.errno == errno.EACCES:
        return None if os.access(file, os.X_OK) else f"{name} is not executable (chmod +x)"
    if error.errno == errno.ENOEXEC:
        return f"{name} is not a program of this machine, and has no first line such as #!/bin/sh"
    if error.errno != errno.ENOENT:
        return None
    if not first.startswith(b"#!"):
        return f"{name} needs a loader or an interpreter that does not exist here; it was made for another system"
    interpreter = (first[2:].split() or [b""])[0]
    if first.endswith(b"\r"):
        line = shown(first[:-1])
        return f"the first line of {name} ({line}) ends with a carriage return; save the file with Unix line ends"
    return f"{name} needs the interpreter {shown(interpreter)}, which does not exist here"


def line_ends(file: Path) -> str:
    """A hint for a script that failed; empty when its lines end as Unix has them."""
    try:
        with file.open("rb") as opened:
            crlf = b"\r\n" in opened.read(4096)
    except OSError:
        return ""
    return f" ({shown(str(file))} has Windows line ends; save it with Unix line ends)" if crlf else ""
