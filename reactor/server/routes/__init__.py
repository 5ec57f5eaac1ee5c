"""One file a resource; each gives its part of the routing table."""

from __future__ import annotations

from reactor.contracts.store import Page
from reactor.server.openapi import openapi_route
from reactor.server.routing import Problem, Request, Route
from reactor.server.services import Services

PAGING = ("limit", "cursor")
"""Query parameters of every list."""


def paging(request: Request) -> tuple[str | None, int]:
    """Cursor and limit of a list request. Raises Problem 400."""
    text = request.query.get("limit", "50")
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise Problem(400, "Bad limit", "limit is a number from 1 to 1000")
    cursor = request.query.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Problem(400, "Bad cursor", "cursor is the `next` of the page before")
    return cursor, int(text)


def all_routes(services: Services) -> list[Route]:
    from reactor.server.routes import (
        actions,
        connections,
        dead_letters,
        events,
        flows,
        health,
        metrics,
        plugins,
        queues,
        runs,
        stream,
        triggers,
        webhooks,
    )

    modules = (
        health,
        metrics,
        stream,
        events,
        dead_letters,
        runs,
        flows,
        triggers,
        connections,
        plugins,
        queues,
        actions,
        webhooks,
    )
    found = [route for module in modules for route in module.routes(services)]
    return [*found, openapi_route(found, services)]


__all__ = ["PAGING", "Page", "all_routes", "paging"]
