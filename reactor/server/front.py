"""What one address serves, and to whom: all of it, or the ways in on one address and the rest on another."""

from __future__ import annotations

from dataclasses import dataclass

from reactor.server.auth import Access
from reactor.server.routing import Route, Table

EVENTS = "/api/v1/events"


@dataclass(frozen=True, slots=True)
class Front:
    table: Table
    hooks: bool
    access: Access


@dataclass(frozen=True, slots=True)
class Address:
    """Port 0 takes a free one."""

    host: str
    port: int
    access: Access
    option: str = "--listen"


def only_events(routes: list[Route], access: Access) -> Front:
    """For the outside, when --admin-listen is set: /hooks, and events that are sent."""
    return Front(Table([route for route in routes if (route.method, route.path) == ("POST", EVENTS)]), True, access)


def everything(routes: list[Route], access: Access) -> Front:
    return Front(Table(routes), True, access)


def without_hooks(routes: list[Route], access: Access) -> Front:
    """All but /hooks; /api/v1/events too, since listing them shares its path."""
    return Front(Table(routes), False, access)
