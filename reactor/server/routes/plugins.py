"""Plugins: what they bring, and how they are."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Plugins


def routes(plugins: Plugins) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.PluginPage(plugins.items(), None))

    return [Route("GET", "/api/v1/plugins", "admin", listing, Doc("Plugins and their health", answers.PluginPage))]
