"""Flows: what is loaded, versions, manual start."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.hooks import parse_wait
from reactor.server.receipts import answer_receipt
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Flows


def routes(flows: Flows) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.FlowPage(flows.items(), None))

    async def show(request: Request) -> Answer:
        found = flows.flow(request.params["name"])
        if found is None:
            raise Problem(404, "Not found", f"there is no flow {request.params['name']}")
        return answer_json(found)

    async def versions(request: Request) -> Answer:
        return answer_json(answers.VersionPage(await flows.versions(request.params["name"]), None))

    async def start(request: Request) -> Answer:
        name = request.params["name"]
        body = request.json()
        wait = parse_wait(request.query)
        try:
            receipt = await flows.start(name, {} if body is None else body, request.idempotency_key, wait)
        except KeyError:
            raise Problem(404, "Not found", f"there is no flow {name}") from None
        return answer_receipt(receipt, wait is not None)

    async def reload(request: Request) -> Answer:
        await flows.reload()
        return answer_json(answers.FlowPage(flows.items(), None))

    return [
        Route("GET", "/api/v1/flows", "admin", listing, Doc("Loaded flows, and files that were refused",
              answers.FlowPage)),
        Route("GET", "/api/v1/flows/{name}", "admin", show, Doc("One flow with its source", answers.Flow,
              errors=(404,))),
        Route("GET", "/api/v1/flows/{name}/versions", "admin", versions, Doc("All versions of a flow",
              answers.VersionPage)),
        Route("POST", "/api/v1/flows/{name}/runs", "admin", start, Doc("Starts a flow by hand; the body is its inputs",
              answers.Sent, 202, query=("wait",), body={"application/json": {}}, errors=(400, 404, 409, 413, 422, 503),
              headers=("Idempotency-Key",)), 16 * 1024 * 1024),
        Route("POST", "/api/v1/reload", "admin", reload, Doc("Reads the flows again", answers.FlowPage)),
    ]  # fmt: skip
