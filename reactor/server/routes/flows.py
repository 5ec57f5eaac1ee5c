"""Flows: what is loaded, versions, manual start."""

from __future__ import annotations

from reactor.kit.urls import without_credentials
from reactor.server.hooks import parse_wait
from reactor.server.routes.events import answer_receipt
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services
from reactor.server.views import moment


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json({"items": services.flows(), "next": None})

    async def show(request: Request) -> Answer:
        found = services.flow(request.params["name"])
        if found is None:
            raise Problem(404, "Not found", f"there is no flow {request.params['name']}")
        return answer_json(found)

    async def versions(request: Request) -> Answer:
        records = await services.store.versions(request.params["name"])
        items = [
            {
                "version": r.version,
                "flow": r.flow,
                "file": r.file,
                "loaded": moment(r.at),
                "source": without_credentials(r.source),
            }
            for r in records
        ]
        return answer_json({"items": items, "next": None})

    async def start(request: Request) -> Answer:
        name = request.params["name"]
        body = request.json()
        wait = parse_wait(request.query)
        try:
            receipt = await services.start(
                name,
                {} if body is None else body,
                request.idempotency_key,
                wait,
            )
        except KeyError:
            raise Problem(404, "Not found", f"there is no flow {name}") from None
        return answer_receipt(receipt, wait is not None)

    async def reload(request: Request) -> Answer:
        await services.reload()
        return answer_json({"items": services.flows(), "next": None})

    return [
        Route("GET", "/api/v1/flows", "admin", listing, Doc("Loaded flows, and files that were refused", "FlowPage")),
        Route("GET", "/api/v1/flows/{name}", "admin", show, Doc("One flow with its source", "Flow", errors=(404,))),
        Route("GET", "/api/v1/flows/{name}/versions", "admin", versions, Doc("All versions of a flow", "VersionPage")),
        Route("POST", "/api/v1/flows/{name}/runs", "admin", start, Doc("Starts a flow by hand; the body is its inputs",
              "Sent", 202, query=("wait",), body={"application/json": {}}, errors=(400, 404, 409, 413, 422, 503),
              headers=("Idempotency-Key",)), 16 * 1024 * 1024),
        Route("POST", "/api/v1/reload", "admin", reload, Doc("Reads the flows again", "FlowPage")),
    ]  # fmt: skip
