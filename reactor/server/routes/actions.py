"""Actions: the reference as data."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json({"items": services.actions(), "next": None})

    async def show(request: Request) -> Answer:
        found = services.action(request.params["name"])
        if found is None:
            raise Problem(404, "Not found", f"there is no action {request.params['name']}")
        return answer_json(found)

    return [
        Route("GET", "/api/v1/actions", "admin", listing, Doc("The reference of actions", "ActionPage")),
        Route("GET", "/api/v1/actions/{name}", "admin", show, Doc("One action", "Action", errors=(404,))),
    ]
