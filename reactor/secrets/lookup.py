"""Secrets from the environment (`REACTOR_SECRET_NAME`) and from files (one a secret)."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from reactor.contracts.errors import StepFailed
from reactor.contracts.text import is_text, not_utf8, without_bom
from reactor.secrets.masking import SHORTEST, Masker

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
MAX_SECRET = 256 * 1024
TOGETHER = 8
"""Secrets that one pattern looks for: a further one costs the making of a small pattern, not of one for all."""


class Secrets:
    """Looks values up each time, so that a rotated file counts at once."""

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._given: set[str] = set()
        self._full: list[Masker] = []
        self._open: list[str] = []
        self._maskers: list[Masker] = []
        self._environ = os.environ if environ is None else environ

    def _find(self, name: str) -> str | None:
        """Raises StepFailed of type `secret.invalid` for what is there and cannot be a secret."""
        if not NAME.fullmatch(name):
            return None
        variable = f"REACTOR_SECRET_{name.upper().replace('-', '_')}"
        if value := self._environ.get(variable):
            if not is_text(value):
                raise _invalid(name, f"the variable {variable} is not UTF-8")
            return trimmed(value) or None
        for file in (name, f"secrets_{name}"):  # systemd names the files of a credential folder so
            path = self._directory / file
            data = _content(name, path)
            if data is not None:
                return _text(name, path, data) or None
        return None

    def exists(self, name: str) -> bool:
        """Whether there is something of the name; what is wrong with it is reported when it is used."""
        try:
            return self._find(name) is not None
        except StepFailed:
            return True

    def mask(self, text: str) -> str:
        """A text without any secret that was given out so far, in any form."""
        for masker in self._maskers:
            text = masker.text(text)
        return text

    def get(self, name: str) -> str:
        """Raises StepFailed of type `secret.missing` or `secret.invalid`."""
        value = self._find(name)
        if value is None:
            raise StepFailed("secret.missing", f"there is no secret {name}", retryable=False)
        self.hide(value)
        return value

    def hide(self, value: str) -> None:
        """Masks a value from now on."""
        if value in self._given or len(value) < SHORTEST:
            return
        within = any(value in known or known in value for known in self._given)
        self._given.add(value)
        if within:  # of two such only one pattern knows the longer
            self._full, self._open = [Masker(self._given)], []
            self._maskers = self._full
            return
        self._open.append(value)
        self._maskers = [*self._full, Masker(self._open)]
        if len(self._open) == TOGETHER:
            self._full, self._open = self._maskers, []


def trimmed(value: str) -> str:
    """Without a byte order mark, and without the line ends that editors and `echo` leave."""
    return value.removeprefix("\ufeff").rstrip("\r\n")


def _invalid(name: str, reason: str) -> StepFailed:
    return StepFailed("secret.invalid", f"the secret {name} cannot be used: {reason}", retryable=False)


def _content(name: str, path: Path) -> bytes | None:
    """None for a file that is not there."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _invalid(name, f"{path} is a folder; a secret is a file")
        if not stat.S_ISREG(status.st_mode):
            raise _invalid(name, f"{path} is not a regular file")
        if status.st_size > MAX_SECRET:
            raise _invalid(name, f"{path} has more than {MAX_SECRET // 1024} KiB")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _invalid(name, f"{path}: {error.strerror or type(error).__name__}") from None


def _text(name: str, path: Path, data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise _invalid(name, f"{path} is UTF-16 or binary data; save it as UTF-8")
    data = without_bom(data)
    if not_utf8(data) is not None:  # which byte it is would show a piece of the secret
        raise _invalid(name, f"{path} is not UTF-8; save it as UTF-8")
    return trimmed(data.decode("utf-8"))
