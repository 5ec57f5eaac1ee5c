"""What the routes may use; app.py fills it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reactor.contracts.event import Event, StoredEvent, Verdict
from reactor.contracts.run import RunRecord
from reactor.contracts.store import Store
from reactor.contracts.trigger import Receipt


@dataclass(frozen=True)
class Services:
    store: Store
    version: str
    emit: Callable[[str, Event, float | None], Awaitable[Receipt]]
    start: Callable[[str, Any, str | None, float | None], Awaitable[Receipt]]
    """Flow name, inputs, key, wait. Raises KeyError for an unknown flow and Refused for inputs that do not fit."""
    why: Callable[[StoredEvent], list[Verdict]]
    tree: Callable[[RunRecord], Awaitable[dict[str, Any]]]
    """`vars` and `steps` of a run."""
    retryable: Callable[[RunRecord], Awaitable[str | None]]
    """None, or why a run cannot be retried."""
    flows: Callable[[], list[dict[str, Any]]]
    flow: Callable[[str], dict[str, Any] | None]
    triggers: Callable[[], list[dict[str, Any]]]
    connections: Callable[[], list[dict[str, Any]]]
    check_connection: Callable[[str], Awaitable[str | None]]
    """Opens a connection and tries it; None, or what is wrong."""
    plugins: Callable[[], list[dict[str, Any]]]
    push: Callable[[str, Any, str | None], Awaitable[str]]
    """Queue, data, idempotency key: the message's id."""
    metrics: Callable[[], Awaitable[bytes]]
    stats: Callable[[], Awaitable[dict[str, Any]]]
    feed: Any
    webhooks: Any
    """`Memory` of webhook.send, with `items`: URLs that answered 410."""
    actions: Callable[[], list[dict[str, Any]]]
    action: Callable[[str], dict[str, Any] | None]
    ready: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
    configuration: Callable[[], dict[str, Any]]
    """The options that hold, where each comes from, and the directory that relative paths start at."""
    reload: Callable[[], Awaitable[None]]
