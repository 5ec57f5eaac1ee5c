"""Kinds by name, imported on first use."""

from __future__ import annotations

from typing import Protocol, TypeVar

K_co = TypeVar("K_co", covariant=True)


class Registry(Protocol[K_co]):
    """Names of all kinds, and the class behind a name."""

    def names(self) -> list[str]:
        """In order."""
        ...

    def get(self, name: str) -> type[K_co]:
        """Raises KeyError for a name that does not exist."""
        ...


K = TypeVar("K")


class OpenRegistry(Registry[K], Protocol[K]):
    """One that takes the kinds of plugins too."""

    def add(self, name: str, kind: type[K]) -> None:
        """In the place of one that has the name."""
        ...

    def remove(self, name: str) -> None: ...
