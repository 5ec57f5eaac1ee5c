"""Named durable queues: how they stand, and pushing onto them."""

from __future__ import annotations

from reactor.contracts.store import QUEUE_NAME
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services
from reactor.server.views import moment


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        items = [
            {"name": q.name, "waiting": q.waiting, "active": q.active, "oldest": moment(q.oldest)}
            for q in await services.store.queues()
        ]
        return answer_json({"items": items, "next": None})

    async def push(request: Request) -> Answer:
        name = request.params["name"]
        if not QUEUE_NAME.fullmatch(name):
            raise Problem(404, "Not found", f"{name!r} is no name of a queue")
        id = await services.push(name, request.json(), request.idempotency_key)
        return answer_json({"queue": name, "message": id}, 202)

    return [
        Route("GET", "/api/v1/queues", "admin", listing, Doc("Durable queues that have messages", "QueuePage")),
        Route("POST", "/api/v1/queues/{name}", "admin", push, Doc("Pushes a message; the body is its data",
              "Pushed", 202, body={"application/json": {}}, errors=(400, 404, 413, 503), headers=("Idempotency-Key",)),
              16 * 1024 * 1024),
    ]  # fmt: skip
