"""Named durable queues: how they stand, and pushing onto them."""

from __future__ import annotations

from reactor.contracts.store import QUEUE_NAME
from reactor.server import answers
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Queues


def routes(queues: Queues) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.QueuePage(await queues.items(), None))

    async def push(request: Request) -> Answer:
        name = request.params["name"]
        if not QUEUE_NAME.fullmatch(name):
            raise Problem(404, "Not found", f"{name!r} is no name of a queue")
        id = await queues.push(name, request.json(), request.idempotency_key)
        return answer_json(answers.Pushed(name, id), 202)

    return [
        Route("GET", "/api/v1/queues", "admin", listing, Doc("Durable queues that have messages", answers.QueuePage)),
        Route("POST", "/api/v1/queues/{name}", "admin", push, Doc("Pushes a message; the body is its data",
              answers.Pushed, 202, body={"application/json": {}}, errors=(400, 404, 413, 503),
              headers=("Idempotency-Key",)), 16 * 1024 * 1024),
    ]  # fmt: skip
