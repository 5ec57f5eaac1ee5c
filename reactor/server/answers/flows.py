"""Flows and their versions."""

from __future__ import annotations

import msgspec

from reactor.contracts.states import FlowState
from reactor.server.answers.shape import Moment, Shape


class FlowTrigger(Shape):
    name: str
    kind: str
    source: str


class FlowItem(Shape, kw_only=True):
    """A loaded flow, or (without a name) a file of which nothing runs."""

    name: str | None
    file: str
    version: str | None
    description: str | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    enabled: bool
    state: FlowState
    triggers: list[FlowTrigger]
    problems: list[str]


class FlowPage(Shape):
    items: list[FlowItem]
    next: str | None


class Flow(FlowItem, kw_only=True):
    """One flow with its source, which has no passwords."""

    name: str
    version: str
    description: str
    labels: dict[str, str]
    source: str


class Version(Shape):
    version: str
    flow: str
    file: str
    loaded: Moment
    source: str


class VersionPage(Shape):
    items: list[Version]
    next: str | None
