"""Secrets from the environment (`REACTOR_SECRET_NAME`) and from files (one a secret)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from reactor.contracts.errors import StepFailed
from reactor.engine.masking import SHORTEST, mask

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


class Secrets:
    """Looks values up each time, so that a rotated file counts at once."""

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._given: set[str] = set()
        self._environ = os.environ if environ is None else environ

    def _find(self, name: str) -> str | None:
        if not NAME.fullmatch(name):
            return None
        value = self._environ.get(f"REACTOR_SECRET_{name.upper().replace('-', '_')}")
        if value:
            return value
        for file in (name, f"secrets_{name}"):  # systemd names the files of a credential folder so
            try:
                return (self._directory / file).read_text("utf-8").rstrip("\r\n") or None
            except (OSError, UnicodeDecodeError):
                continue
        return None

    def exists(self, name: str) -> bool:
        return self._find(name) is not None

    def mask(self, text: str) -> str:
        """A text without any secret that was given out so far, in any form."""
        return str(mask(text, self._given)) if self._given else text

    def get(self, name: str) -> str:
        """Raises StepFailed of type `secret.missing`."""
        value = self._find(name)
        if value is not None and len(value) >= SHORTEST:
            self._given.add(value)
        if value is None:
            raise StepFailed("secret.missing", f"there is no secret {name}", retryable=False)
        return value
