"""Durable queues, and receivers of webhooks that are switched off."""

from __future__ import annotations

from reactor.server.answers.shape import MaybeMoment, Shape


class Queue(Shape):
    """Messages that wait, and those whose runs have not ended."""

    name: str
    waiting: int
    active: int
    oldest: MaybeMoment


class QueuePage(Shape):
    items: list[Queue]
    next: str | None


class Pushed(Shape):
    queue: str
    message: str


class Webhook(Shape):
    """A receiver that answered 410, and since when nothing is sent to it."""

    url: str
    disabled: MaybeMoment


class WebhookPage(Shape):
    items: list[Webhook]
    next: str | None
