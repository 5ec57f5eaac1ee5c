"""A stream over a WebSocket (RFC 6455): messages go out, those that come are read and left alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
from aiohttp import WSCloseCode, web

from reactor.server.routing import Problem

HEARTBEAT = 20.0
"""Seconds between two pings; a client that answers none within half of it is gone."""
LARGEST = 4096
"""Bytes of a message that comes in; nothing in it is asked for."""


def check_handshake(request: web.BaseRequest) -> None:
    """Raises Problem 400 for a handshake that is none."""
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise Problem(400, "Bad handshake", "this is no WebSocket handshake of version 13")


async def send_messages(
    request: web.BaseRequest, parts: AsyncGenerator[bytes, None], stuck: float
) -> web.StreamResponse:
    """One text message a part. A client that takes none for `stuck` seconds is let go."""
    response = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LARGEST, timeout=2.0, compress=False)
    await response.prepare(request)
    try:
        async with anyio.create_task_group() as group:

            async def read() -> None:
                async for _ in response:
                    pass
                group.cancel_scope.cancel()

            group.start_soon(read)
            async for part in parts:
                with anyio.fail_after(stuck):
                    await response.send_str(part.decode())
            group.cancel_scope.cancel()
    except* (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        await parts.aclose()
    if not response.closed:
        await response.close(code=WSCloseCode.GOING_AWAY, message=b"the daemon ends")
    return response
