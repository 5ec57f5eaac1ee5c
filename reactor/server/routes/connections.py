"""Connections: name, kind and health; never settings."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Connections


def routes(connections: Connections) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.ConnectionPage(connections.items(), None))

    async def check(request: Request) -> Answer:
        name = request.params["name"]
        if not any(item.name == name and item.file is not None for item in connections.items()):
            raise Problem(404, "Not found", f"there is no connection {name}")
        error = await connections.check(name)
        return answer_json(answers.ConnectionCheck(name, error is None, error))

    return [
        Route("GET", "/api/v1/connections", "admin", listing, Doc("Connections and their health",
              answers.ConnectionPage)),
        Route("POST", "/api/v1/connections/{name}/check", "admin", check, Doc("Opens a connection and tries it",
              answers.ConnectionCheck, errors=(404,))),
    ]  # fmt: skip
