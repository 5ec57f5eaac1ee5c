"""`/healthz` and `/readyz`."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Health


def routes(health: Health) -> list[Route]:
    async def healthz(request: Request) -> Answer:
        reason = health.store()
        if reason is None:
            return answer_json(answers.Health("ok", None))
        return answer_json(answers.Health("failing", reason), 503)

    async def readyz(request: Request) -> Answer:
        found = health.readiness()
        return answer_json(found, 200 if found.status == "ready" else 503)

    return [
        Route("GET", "/healthz", "public", healthz, Doc("Whether the store works", answers.Health, errors=(503,))),
        Route("GET", "/readyz", "public", readyz, Doc("Whether events are accepted, and what is not connected",
              answers.Readiness, errors=(503,))),
    ]  # fmt: skip
