"""TCP connections within bounds: the first request must arrive in time, and there are only so many. What cannot be
read as HTTP is answered with a problem and one line in the log; a client that has sent all may close its half."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadStatusLine, HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from msgspec import UNSET

from reactor.contracts.facts import RequestFailed, RequestMalformed
from reactor.contracts.observe import Observer
from reactor.contracts.text import shown
from reactor.server.bursts import Bursts
from reactor.server.response import Response
from reactor.server.routing import Problem

HEADER_SECONDS = 20.0
"""How long a new connection may take for its first request's headers; later ones have the keep-alive time."""
MAX_CONNECTIONS = 10_000
LAST_CHUNK = b"\r\n0\r\n\r\n"
"""How a chunked body without trailers ends."""


class CutOff(Exception):
    """The client stopped, or broke the framing, before the body was complete."""


class HttpProtocol(RequestHandler):
    """One connection; slow and surplus ones are closed."""

    _slow: asyncio.TimerHandle | None = None
    payload: StreamReader = EMPTY_PAYLOAD
    """The body of the request that is being answered."""
    streaming = False
    """Whether an answer without an end is being sent."""
    half_closed = False
    """Whether the client has closed its sending half."""
    _chunked: StreamReader | None = None
    """The chunked body that is coming in,"""
    _ends = b""
    """the last bytes that came,"""
    _unclean: StreamReader | None = None
    """and the body that trailers may have followed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        manager: Any = self._manager
        if manager is not None and len(manager._connections) > MAX_CONNECTIONS:
            transport.abort()  # type: ignore[attr-defined]
            return
        self._slow = self._loop.call_later(HEADER_SECONDS, self._too_slow, transport)

    def begun(self) -> None:
        """A request's headers are complete."""
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.begun()
        super().connection_lost(exc)

    def _too_slow(self, transport: Any) -> None:
        self._slow = None
        transport.abort()

    def is_final(self) -> bool:
        """Whether no further request may follow: the answer that is being sent ends the connection."""
        return (self.half_closed and not self._messages) or self.payload is self._unclean

    def data_received(self, data: bytes) -> None:
        messages = self._messages
        before = len(messages)
        super().data_received(data)
        if len(messages) > before:
            self._look_at(itertools.islice(messages, before, None))
        if self._chunked is not None:
            self._ends = (self._ends + data)[-len(LAST_CHUNK) :]
            if self._chunked.is_eof():
                if self._ends != LAST_CHUNK:
                    self._unclean = self._chunked
                self._chunked = None

    def _look_at(self, messages: Iterable[Any]) -> None:
        """aiohttp's parser keeps trailers that follow a chunked body and puts them among the next request's headers. So
        nothing is read behind a chunked body that does not end plainly."""
        for message, payload in messages:
            if isinstance(message, _ErrInfo):
                error = message.exc
                if isinstance(error, HttpProcessingError) and self._cut_off("the framing of the body is broken"):
                    self._tell(_problem(error).detail)
            elif self._chunked is not None:
                self._unclean = self._chunked
                self._chunked = None
                break
            elif message.chunked and self._unclean is None:
                self._chunked = payload

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's contract is wider than aiohttp's
        """True keeps the half open that answers: for requests that are complete or being answered."""
        if self.half_closed:
            return True
        waiting = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        if self.streaming or self._upgraded or self.ssl_context is not None or (waiting and not self._messages):
            return None
        self.half_closed = True
        self._cut_off("the client closed the connection")
        return True

    def _cut_off(self, reason: str) -> bool:
        """Ends the bodies that will never be complete; whether there was one."""
        found = False
        for payload in (self.payload, *(payload for _, payload in self._messages)):
            if not payload.is_eof():
                payload.set_exception(CutOff(reason))
                payload.feed_eof()
                found = True
        return found

    def _tell(self, reason: str) -> None:
        if isinstance(self._manager, Server):
            self._manager.malformed(reason, self.address)

    @property
    def address(self) -> str | None:
        peer = self.peername
        return peer[0] if isinstance(peer, tuple) else None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, or to an exception of the server's own. A client that is gone gets none, and
        is nobody's fault."""
        if isinstance(exc, ConnectionError):
            raise ConnectionResetError("the client is gone") from exc
        if status < 500 and isinstance(exc, HttpProcessingError):
            problem = _problem(exc)
            self._tell(problem.detail)
        else:
            problem = Problem(500, "Internal error", "the daemon's log has the reason")
            self.log_exception(exc_info=exc)
        answer = problem.answer()
        return Response(answer.status, answer.headers, answer.body, close=True)

    def log_exception(self, *args: Any, **more: Any) -> None:
        if isinstance(self._manager, Server):
            self._manager.failed(repr(more.get("exc_info") or args), self.address)


def _problem(error: HttpProcessingError) -> Problem:
    said = shown(error.message).strip().partition("\n")[0].rstrip(": ")
    if isinstance(error, LineTooLong):
        return Problem(431, "Header too large", "the request line or a header has more than 8,190 bytes")
    if isinstance(error, InvalidURLError):
        return Problem(400, "Bad request", "the request target is not valid; what is not ASCII is percent-encoded")
    if isinstance(error, BadStatusLine) or not said or said.startswith("Pause"):
        return Problem(400, "Bad request", "this is not an HTTP request")
    return Problem(400, "Bad request", said[:200])


class Server(web.Server):
    """Makes our connections, and writes of each kind of trouble one line a burst."""

    def __init__(self, observer: Observer, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._observer = observer
        self._bursts = Bursts()

    def __call__(self) -> HttpProtocol:
        return HttpProtocol(self, loop=self._loop, **self._kwargs)

    def malformed(self, reason: str, address: str | None) -> None:
        self._say(RequestMalformed, "malformed", reason, address)

    def failed(self, error: str, address: str | None) -> None:
        self._say(RequestFailed, error, error, address)

    def _say(self, kind: type[RequestMalformed | RequestFailed], key: str, error: str, address: str | None) -> None:
        left_out = self._bursts.note(key)
        if left_out is not None:
            self._observer.observe(kind(error=error, address=address, left_out=left_out or UNSET))
