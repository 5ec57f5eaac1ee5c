"""Kinds by name, imported on first use."""

from __future__ import annotations

from typing import Protocol, TypeVar

from reactor.contracts.kinds import Kind

AKind = TypeVar("AKind", bound=Kind)


class Registry(Protocol[AKind]):
    """Names of all kinds of one sort, and the class behind a name."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> type[AKind]:
        """The class. Raises KeyError for a name that does not exist."""
        ...

    def add(self, name: str, cls: type[AKind]) -> None: ...

    def remove(self, name: str) -> None: ...
