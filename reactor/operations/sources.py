"""Sources and how they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from reactor.contracts.states import SourceState
from reactor.kit.urls import plain
from reactor.router.match import FlowSet
from reactor.router.sources import Sources
from reactor.server import answers


class SourceOperations:
    """`flows` gives the present set."""

    def __init__(self, sources: Sources, flows: Callable[[], FlowSet]) -> None:
        self._sources = sources
        self._flows = flows

    def items(self) -> list[answers.Trigger]:
        """Sources that are listened to, then triggers that have no source of their own."""
        found = [
            answers.Trigger(
                source=source.name,
                kind=source.kind,
                state=source.state,
                error=source.error,
                warning=source.warning,
                failures=source.failures,
                flows=sorted(source.flows),
                options=_options(source.options),
            )
            for source in self._sources.active.values()
        ]
        found += [
            answers.Trigger(
                source=trigger.source,
                kind=trigger.kind,
                state=SourceState.listening,
                error=None,
                warning=None,
                failures=0,
                flows=[plan.flow],
                options=_options(trigger.options),
            )
            for plan, trigger in self._flows().triggers()
            if trigger.passive
        ]
        return found


def _options(options: msgspec.Struct) -> dict[str, Any]:
    """As JSON data, without what URLs have of secrets."""
    found: dict[str, Any] = plain(msgspec.to_builtins(options))
    return found
