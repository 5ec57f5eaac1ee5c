"""`/api/v1/stream` and `/api/v1/ws`: what happens, as server-sent events or over a WebSocket, resumable."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from reactor.server.routing import Answer, Doc, Problem, Request, Route
from reactor.server.services import Frame, Stream

MAX_CLIENTS = 200
"""Of both kinds together."""


def routes(feed: Stream) -> list[Route]:
    def frames(request: Request) -> AsyncGenerator[Sequence[Frame], None]:
        """What the query and Last-Event-ID ask for. Raises Problem 400 and 503."""
        if feed.clients >= MAX_CLIENTS:
            raise Problem(503, "Too many", f"{MAX_CLIENTS} clients follow the stream", {"Retry-After": "5"})
        last = request.headers.get("last-event-id") or request.query.get("last_event_id")
        wanted = request.query.get("facts")
        facts = frozenset(wanted.split(",")) if wanted else None
        if facts is not None and not all(fact in feed.facts for fact in facts):
            unknown = sorted(fact for fact in facts if fact not in feed.facts)
            raise Problem(400, "Bad facts", f"there is no fact {unknown[0]!r}")
        return feed.follow(last, facts, request.query.get("flow"))

    async def stream(request: Request) -> Answer:
        return Answer(200, b"", {"Content-Type": "text/event-stream"}, _events(frames(request)))

    async def socket(request: Request) -> Answer:
        if request.headers.get("upgrade", "").lower() != "websocket":
            raise Problem(426, "Upgrade required", "this path speaks WebSocket", {"Upgrade": "websocket"})
        return Answer(101, stream=_messages(frames(request)))

    query, headers = ("facts", "flow", "last_event_id"), ("Last-Event-ID",)
    return [
        Route("GET", "/api/v1/stream", "admin", stream, Doc(
            "What happens, as server-sent events; resumable", "text/event-stream",
            query=query, errors=(400, 503), headers=headers,
        )),
        Route("GET", "/api/v1/ws", "admin", socket, Doc(
            "The same over a WebSocket: a JSON object {id, event, data} a message", "text/plain", 101,
            query=query, errors=(400, 426, 503), headers=headers,
        )),
    ]  # fmt: skip


async def _events(frames: AsyncGenerator[Sequence[Frame], None]) -> AsyncGenerator[bytes, None]:
    """Comments stand where nothing happened, so that both sides see that the other is there."""
    yield b"retry: 2000\n: hello\n\n"
    async with aclosing(frames):
        async for some in frames:
            yield b"".join([frame.event for frame in some]) or b": still here\n\n"


async def _messages(frames: AsyncGenerator[Sequence[Frame], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        async for some in frames:
            for frame in some:
                yield frame.message.encode()
