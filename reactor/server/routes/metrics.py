"""`/metrics` in Prometheus's text format, and the same numbers for `reactor top`."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.services import Health, Numbers


def routes(numbers: Numbers, health: Health) -> list[Route]:
    async def metrics(request: Request) -> Answer:
        return Answer(200, await numbers.text(), {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def stats(request: Request) -> Answer:
        return answer_json(await numbers.stats())

    async def configuration(request: Request) -> Answer:
        return answer_json(health.configuration())

    return [
        Route("GET", "/metrics", "send", metrics, Doc("Metrics in Prometheus's text format", "text/plain")),
        Route("GET", "/api/v1/stats", "admin", stats, Doc("The same numbers as JSON, for people", answers.Stats)),
        Route("GET", "/api/v1/configuration", "admin", configuration, Doc("The options that hold",
              answers.Configuration)),
    ]  # fmt: skip
