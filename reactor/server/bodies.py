"""Request bodies within their bounds: size, time, decompressed size."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import anyio
from aiohttp import web
from aiohttp.http import HttpVersion11

from reactor.server.routing import Problem

BODY_SECONDS = 60.0
"""How long a body may take to arrive, whatever its size,"""
LEAST_RATE = 16 * 1024
"""and how many bytes a second it brings beyond that."""
CODINGS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""Window bits for zlib; `deflate` is sent with and without zlib's own header."""
MAX_MEMBERS = 10_000
WINDOW = 16 * 1024
"""Bytes given to zlib at once: what a member leaves over is copied."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _length(request: web.BaseRequest, limit: int) -> int | None:
    length = request.content_length
    if length is not None and length > limit:
        raise Problem(413, "Too large", f"the body has {length:,} bytes; at most {limit:,}")
    return length


def ready_body(request: web.BaseRequest, limit: int) -> bytes | None:
    """The body when all of it is here already, as that of most requests is; else None. Raises Problem 413."""
    content = request.content
    if not content.is_eof():
        return None
    return content.read_nowait() if _length(request, limit) is not None else None


def _proceed(request: web.BaseRequest) -> None:
    """Tells a client that waits for it (`Expect: 100-continue`) to send its body. It is told only now, when nothing
    else speaks against the request."""
    if "expect" in request.headers and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(CONTINUE)


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body as it was sent. Raises Problem 413 or 408."""
    _length(request, limit)
    _proceed(request)
    content = request.content
    parts: list[bytes] = []
    size = 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in content.iter_any():
                size += len(part)
                if size > limit:
                    raise Problem(413, "Too large", f"the body has more than {limit:,} bytes")
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "Too slow", f"the body did not arrive within {BODY_SECONDS:g} s") from None
    return b"".join(parts)


async def spool_body(request: web.BaseRequest, limit: int, folder: Path) -> Path:
    """The body in a file, never in memory whole. Raises Problem 413, 408 or 507; the caller removes the file."""
    _length(request, limit)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115
    except OSError as error:
        raise Problem(507, "No room", f"the body cannot be kept: {error.strerror}") from None
    path = Path(file.name)
    _proceed(request)
    size = 0
    try:
        with file, anyio.fail_after(BODY_SECONDS) as scope:
            begun = scope.deadline
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise Problem(413, "Too large", f"the body has more than {limit:,} bytes")
                scope.deadline = begun + size / LEAST_RATE
                if len(part) > 1024 * 1024:
                    await anyio.to_thread.run_sync(file.write, part)
                else:
                    file.write(part)
    except TimeoutError:
        path.unlink(missing_ok=True)
        raise Problem(408, "Too slow", "the body came too slowly") from None
    except OSError as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ConnectionError):
            raise
        raise Problem(507, "No room", f"the body cannot be kept: {error.strerror}") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def inflate(raw: bytes, coding: str, limit: int) -> bytes:
    """A body without its Content-Encoding; never more than `limit` bytes are made. Raises Problem 400, 413 or 415."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in CODINGS:
        raise Problem(415, "Unsupported encoding", f"Content-Encoding {coding} is not read here; gzip and deflate are")
    wrong: Exception | None = None
    for bits in CODINGS[coding]:
        try:
            return _members(raw, bits, coding, limit)
        except zlib.error as error:
            wrong = error
    raise Problem(400, "Malformed body", f"the body is not {coding}: {wrong}")


def _members(raw: bytes, bits: int, coding: str, limit: int) -> bytes:
    """All members of a stream: gzip may have several, one behind the other (RFC 1952). Raises zlib.error."""
    parts: list[bytes] = []
    size = place = members = 0
    view = memoryview(raw)
    while place < len(raw) or not members:
        members += 1
        if members > (MAX_MEMBERS if bits == 31 else 1):
            raise Problem(400, "Malformed body", f"more follows the end of the {coding} stream")
        made = zlib.decompressobj(bits)
        while not made.eof:
            if place >= len(raw):
                raise Problem(400, "Malformed body", f"the {coding} stream has no end")
            window = view[place : place + WINDOW]
            part = made.decompress(window, limit + 1 - size)
            place += len(window) - len(made.unused_data) - len(made.unconsumed_tail)
            size += len(part)
            if size > limit:
                raise Problem(413, "Too large", f"the body has more than {limit:,} bytes, decompressed")
            parts.append(part)
    return b"".join(parts)
