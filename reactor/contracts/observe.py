"""What observers are told, after the commit, and never asked."""

from __future__ import annotations

from typing import Any, Protocol


class Observer(Protocol):
    """A failing observer is logged and unplugged; it never hurts a run."""

    def observe(self, fact: str, **fields: Any) -> None:
        """`fact` is a dotted word (`event.accepted`, `run.ended`, `step.ended`, `source.connected` …)."""
        ...
