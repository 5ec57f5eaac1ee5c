"""Actions: the reference as data."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Actions


def routes(actions: Actions) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.ActionPage(actions.items(), None))

    async def show(request: Request) -> Answer:
        found = actions.action(request.params["name"])
        if found is None:
            raise Problem(404, "Not found", f"there is no action {request.params['name']}")
        return answer_json(found)

    return [
        Route("GET", "/api/v1/actions", "admin", listing, Doc("The reference of actions", answers.ActionPage)),
        Route("GET", "/api/v1/actions/{name}", "admin", show, Doc("One action", answers.Action, errors=(404,))),
    ]
