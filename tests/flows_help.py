"""Flows from text, and runs of them without a daemon."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from flows.loader import Document, cross_check, load_text
from reactor.app import make_kinds
from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.plan import BOUNDS, Plan
from reactor.engine import machine
from reactor.engine.state import Run

KINDS = dataclasses.replace(make_kinds(None), allow=frozenset({"shell"}))


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
