"""Connections: name, kind and health; never settings."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json({"items": services.connections(), "next": None})

    async def check(request: Request) -> Answer:
        name = request.params["name"]
        if not any(item["name"] == name and item["file"] is not None for item in services.connections()):
            raise Problem(404, "Not found", f"there is no connection {name}")
        error = await services.check_connection(name)
        return answer_json({"name": name, "ok": error is None, "error": error})

    return [
        Route("GET", "/api/v1/connections", "admin", listing, Doc("Connections and their health", "ConnectionPage")),
        Route("POST", "/api/v1/connections/{name}/check", "admin", check, Doc("Opens a connection and tries it",
              "ConnectionCheck", errors=(404,))),
    ]  # fmt: skip
