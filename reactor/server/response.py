"""An answer of one piece, written in one go: no header map, no chunking, one system call."""

from __future__ import annotations

import http
import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

REASONS = {status.value: status.phrase for status in http.HTTPStatus}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
BODILESS = frozenset({204, 304})
OURS = frozenset({"connection", "content-length", "date", "transfer-encoding"})
"""What only the server may say: it frames the message."""


def _never() -> bool:
    return False


class Response(web.StreamResponse):
    """Status, headers and body, known whole. `close` ends the connection behind it; so does `is_final`, asked when all
    is sent: a client that has sent its last request gets no more than its answers."""

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        close: bool = False,
        is_final: Callable[[], bool] = _never,
    ) -> None:
        # the parent's own state is not made: all that aiohttp asks of a response in one piece is below
        self._status = status
        self._given = headers
        self._whole = body
        self._close = close
        self._is_final = is_final
        self._request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends all of it. Raises ValueError for a control character in a header (RFC 9110, 5.5)."""
        self._request = request
        self._keep_alive = request.keep_alive and not self._close
        keep_alive = self.keep_alive
        status, body = self._status, self._whole
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, '')}"]
        for name, value in self._given.items():
            if name.lower() not in OURS:
                lines.append(f"{name}: {value}")
        if status not in BODILESS and status >= 200:
            lines.append(f"Content-Length: {len(body)}")
        lines.append(f"Date: {rfc822_formatted_time()}")
        if not keep_alive:
            lines.append("Connection: close")
        elif request.version < HttpVersion11:
            lines.append("Connection: keep-alive")
        if _CONTROL.search("\t".join(lines)) is not None:
            raise ValueError("a control character stands in a header")
        lines.append("\r\n")
        head = "\r\n".join(lines).encode()
        if request.method == "HEAD" or status in BODILESS:
            body = b""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(head + body)
        return None

    @property
    def keep_alive(self) -> bool:
        return bool(self._keep_alive) and not self._is_final()

    async def write_eof(self, data: bytes = b"") -> None:
        """All was sent; waits while the client is slow to take it."""
        assert self._request is not None
        await self._request._payload_writer.drain()
