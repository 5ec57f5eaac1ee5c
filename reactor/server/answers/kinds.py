"""The reference of actions."""

from __future__ import annotations

from typing import Literal

from reactor.server.answers.shape import Shape


class Option(Shape):
    name: str
    type: str
    required: bool
    default: object
    description: str


class Action(Shape):
    """`repeat` is what a crash in the middle means; `needs` the `--allow` word."""

    name: str
    summary: str
    repeat: Literal["safe", "keyed", "never"]
    needs: str | None
    result: list[str]
    example: str
    options: list[Option]


class ActionPage(Shape):
    items: list[Action]
    next: str | None
