"""What observers are told, after the commit, and never asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from reactor.contracts.facts import Fact

Listener = Callable[[Any], None]
"""Takes a fact of the kind that it was asked for."""


class Observer(Protocol):
    """A failing observer is logged and unplugged; it never hurts a run."""

    def observe(self, fact: Fact) -> None: ...


class Listening(Protocol):
    """An observer that hears only what it wants, asked once a kind of fact."""

    def listener(self, kind: type[Fact]) -> Listener | None:
        """None for what is not heard."""
        ...
