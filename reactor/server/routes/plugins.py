"""Plugins: what they bring, and how they are."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json({"items": services.plugins(), "next": None})

    return [Route("GET", "/api/v1/plugins", "admin", listing, Doc("Plugins and their health", "PluginPage"))]
