"""Kinds by name, imported on first use."""

from __future__ import annotations

from typing import Any, Protocol


class Registry(Protocol):
    """Names of all kinds, and the class behind a name."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> Any:
        """The class. Raises KeyError for a name that does not exist."""
        ...
