"""Triggers: sources and how they are."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json({"items": services.triggers(), "next": None})

    return [Route("GET", "/api/v1/triggers", "admin", listing, Doc("Sources and how they are", "TriggerPage"))]
