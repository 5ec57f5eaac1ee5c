"""Sources, connections and collections go along with what the flow files say."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import anyio
import anyio.abc

from flows.collections import Collection
from flows.connections import Connection
from reactor.contracts.plan import Plan
from reactor.lending.lending import Lending
from reactor.router.match import FlowSet
from reactor.router.sources import Sources
from reactor.upkeep.guard import Guard
from reactor.upkeep.own_events import OwnEvents


class Following:
    """Fulfils `reactor.catalog.catalog.Follower`."""

    def __init__(
        self, lending: Lending, sources: Sources, events: OwnEvents, group: anyio.abc.TaskGroup, guard: Guard
    ) -> None:
        self._lending = lending
        self._sources = sources
        self._events = events
        self._group = group
        self._guard = guard

    async def settings(self, connections: Mapping[str, Connection], collections: Sequence[Collection]) -> None:
        """Sources whose connection has other settings begin anew with them."""
        self._lending.collections.update(collections)
        changed = self._lending.connections.update(connections)
        if changed:
            await self._sources.restart(changed)

    async def flows(self, flows: FlowSet, new: Sequence[Plan]) -> None:
        """Sources follow the flows; flows that listen for it are told what was loaded."""
        await self._sources.update(flows)
        told = self._events.of_flows(flows, new)
        if told:
            self._group.start_soon(self._guard.run, functools.partial(self._events.tell, told))


async def settle(sources: Sources, seconds: float = 2.0) -> None:
    """Sources that need no connection are up before the daemon says that it is."""
    with anyio.move_on_after(seconds):
        for source in list(sources.active.values()):
            await source.ready.wait()
