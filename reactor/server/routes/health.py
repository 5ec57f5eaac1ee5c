"""`/healthz` and `/readyz`."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def healthz(request: Request) -> Answer:
        reason = services.store.health()
        return answer_json(
            {"status": "ok" if reason is None else "failing", "store": reason}, 200 if reason is None else 503
        )

    async def readyz(request: Request) -> Answer:
        ready, details = await services.ready()
        return answer_json(details, 200 if ready else 503)

    return [
        Route("GET", "/healthz", "public", healthz, Doc("Whether the store works", "Health", errors=(503,))),
        Route("GET", "/readyz", "public", readyz, Doc("Whether events are accepted, and what is not connected",
              "Readiness", errors=(503,))),
    ]  # fmt: skip
