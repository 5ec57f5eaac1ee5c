"""`/api/v1/stream`: what happens, as server-sent events, resumable."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Problem, Request, Route
from reactor.server.services import Services

MAX_CLIENTS = 200


def routes(services: Services) -> list[Route]:
    async def stream(request: Request) -> Answer:
        feed = services.feed
        if feed.clients >= MAX_CLIENTS:
            raise Problem(503, "Too many", f"{MAX_CLIENTS} clients follow the stream", {"Retry-After": "5"})
        last = request.headers.get("last-event-id") or request.query.get("last_event_id")
        wanted = request.query.get("facts")
        facts = frozenset(wanted.split(",")) if wanted else None
        if facts is not None and not all(fact in feed.facts for fact in facts):
            unknown = sorted(fact for fact in facts if fact not in feed.facts)
            raise Problem(400, "Bad facts", f"there is no fact {unknown[0]!r}")
        frames = feed.follow(last, facts, request.query.get("flow"))
        return Answer(200, b"", {"Content-Type": "text/event-stream"}, frames)

    doc = Doc(
        "What happens, as server-sent events; resumable", "text/event-stream",
        query=("facts", "flow", "last_event_id"), errors=(400, 503), headers=("Last-Event-ID",),
    )  # fmt: skip
    return [Route("GET", "/api/v1/stream", "admin", stream, doc)]
