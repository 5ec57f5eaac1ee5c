"""Flows from text, and runs of them without a daemon."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flows.collections import Collection
from flows.connections import Connection
from flows.loader import Document, cross_check, load_text
from reactor.app import make_kinds
from reactor.catalog.versions import FlowVersions
from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.plan import BOUNDS, Plan
from reactor.contracts.store import Journal
from reactor.engine import machine
from reactor.engine.state import Run
from reactor.kit.clock import SystemClock
from reactor.router.match import FlowSet

KINDS = dataclasses.replace(make_kinds(None), allow=frozenset({"shell"}))


def versions(store: Journal) -> FlowVersions:
    return FlowVersions(KINDS, store, SystemClock())


class Told:
    """Follows a catalog, and is told each new set of flows."""

    def __init__(self, tell: Callable[[FlowSet], None]) -> None:
        self._tell = tell

    async def settings(self, connections: Mapping[str, Connection], collections: Sequence[Collection]) -> None:
        pass

    async def flows(self, flows: FlowSet, new: Sequence[Plan]) -> None:
        self._tell(flows)


def documents(*texts: str, folder: str = "/flows") -> list[Document]:
    found = [
        document
        for index, text in enumerate(texts)
        for document in load_text(textwrap.dedent(text), f"{folder}/flow-{index}.yaml", folder, KINDS)
    ]
    cross_check(found, KINDS)
    return found


def plan(text: str) -> Plan:
    (document,) = documents(text)
    assert document.plan is not None, "\n".join(map(str, document.problems))
    return document.plan


def problems(*texts: str) -> list[str]:
    return [str(problem) for document in documents(*texts) for problem in document.problems]


def stored(data: Any = None, **fields: Any) -> StoredEvent:
    event = Event(type="http.request", source="/hooks/x", data=data, alias="body", fields=fields)
    return StoredEvent(id="evt_1", event=event, at=1000.0, origin="http")


def begin(text: str, data: Any = None, **fields: Any) -> Run:
    """A run walked until quiet."""
    run = machine.begin(plan(text), stored(data, **fields), "run_1", "http", 1000.0, {}, BOUNDS)
    while machine.walk(run):
        pass
    return run
