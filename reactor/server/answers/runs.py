"""Runs and their steps."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.server.answers.shape import MaybeError, MaybeMoment, Moment, RunStatus, Shape, StepStatus


class RunItem(Shape):
    """A run in a list: everything but steps and vars. An output of more than 64 KiB is a reference to the run."""

    id: str
    flow: str
    version: str
    status: RunStatus
    event: str
    events: list[str]
    trigger: str
    parent: str | None
    created: Moment
    started: MaybeMoment
    ended: MaybeMoment
    wake: MaybeMoment
    output: object
    error: MaybeError


class RunPage(Shape):
    items: list[RunItem]
    next: str | None


class Turns(Shape):
    """How many turns a loop made, and how many of them are among its children."""

    count: int
    shown: int


class Step(Shape):
    path: str
    id: str | None
    name: str | None
    verb: str
    status: StepStatus
    attempts: int
    started: MaybeMoment
    ended: MaybeMoment
    result: object
    error: MaybeError
    children: list[Step]
    turns: Turns | msgspec.UnsetType = msgspec.UNSET


class StepPage(Shape):
    items: list[Step]
    next: str | None


class Run(RunItem):
    """One run whole. `problem` says why its steps cannot be drawn."""

    response: dict[str, Any] | None
    vars: dict[str, object]
    steps: list[Step]
    problem: str | None


class RunRef(Shape):
    id: str
    flow: str
    status: RunStatus
