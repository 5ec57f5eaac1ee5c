"""Triggers: sources and how they are."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Sources


def routes(sources: Sources) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.TriggerPage(sources.items(), None))

    return [Route("GET", "/api/v1/triggers", "admin", listing, Doc("Sources and how they are", answers.TriggerPage))]
