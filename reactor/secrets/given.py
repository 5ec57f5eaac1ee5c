"""Which secrets were given out while something was rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping


class Secrets(Mapping[str, str]):
    """Looks a secret up when a template reads it, and remembers what was given out."""

    def __init__(self, lookup: Callable[[str], str]) -> None:
        self._lookup = lookup
        self.given: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = self._lookup(name)
        self.given[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)
