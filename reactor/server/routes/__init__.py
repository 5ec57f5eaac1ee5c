"""One file a resource; each gives its part of the routing table."""

from __future__ import annotations

from reactor.server.openapi import openapi_route
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
from reactor.server.routing import Route
from reactor.server.services import Services


def all_routes(services: Services) -> list[Route]:
    found = [
        *health.routes(services.health),
        *metrics.routes(services.numbers, services.health),
        *stream.routes(services.stream),
        *events.routes(services.events),
        *dead_letters.routes(services.dead_letters),
        *runs.routes(services.runs),
        *flows.routes(services.flows),
        *triggers.routes(services.sources),
        *connections.routes(services.connections),
        *plugins.routes(services.plugins),
        *queues.routes(services.queues),
        *actions.routes(services.actions),
        *webhooks.routes(services.webhooks),
    ]
    return [*found, openapi_route(found, services.version)]
