"""The HTTP server: one port (or two, with --admin-listen) and the socket in the data directory, one table of routes.

aiohttp's low-level server parses; routing, limits and rights are ours, because the hot path needs no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import mmap
import socket as _socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
from aiohttp import web

from reactor.contracts.errors import ConfigError, Overloaded, Refused, StoreFailed
from reactor.contracts.facts import RequestFailed
from reactor.contracts.observe import Observer
from reactor.contracts.text import shown
from reactor.contracts.trigger import HttpRequest, HttpRoute
from reactor.server import hooks as _hooks
from reactor.server.auth import Unauthorized
from reactor.server.bodies import inflate, read_body, ready_body, spool_body
from reactor.server.failures import Failures
from reactor.server.front import Address, Front, everything, only_events, without_hooks
from reactor.server.hooks import Hooks
from reactor.server.protocol import CutOff, HttpProtocol, Server
from reactor.server.proxies import Sender
from reactor.server.response import Response
from reactor.server.routing import SECURITY, Answer, Problem, Request, Route
from reactor.server.target import Named, read_headers, read_path, read_query
from reactor.server.tls import Tls
from reactor.server.websocket import check_handshake, send_messages

LARGEST = 64 * 1024 * 1024
STUCK = 20.0


class HttpServer:
    def __init__(
        self, routes: list[Route], hooks: Hooks, observer: Observer, incoming: Path, tls: Tls | None = None
    ) -> None:
        self._incoming = incoming
        self._tls = tls
        self._failures = Failures(observer)
        self.routes = routes
        self._hooks = hooks
        self._observer = observer
        self._runners: list[web.ServerRunner] = []
        self.port = 0
        self.admin_port = 0
        """The port of `admin`, else the same."""
        self._socket: Path | None = None

    async def open(self, address: Address, admin: Address | None, socket: Path | None) -> None:
        """`admin` takes all except hooks and sent events away from `address`; the socket has everything. Raises
        ConfigError when an address is taken."""
        outer = everything if admin is None else only_events
        self.port = self.admin_port = await self._listen(address, outer(self.routes, address.access))
        if admin is not None:
            self.admin_port = await self._listen(admin, without_hooks(self.routes, admin.access))
        if socket is not None:
            runner = await self._runner(everything(self.routes, address.access))
            try:
                socket.unlink(missing_ok=True)
                await web.UnixSite(runner, str(socket)).start()
                socket.chmod(0o600)
            except OSError as error:
                await self.close()
                reason = f"cannot listen on the socket {shown(str(socket))}: {error.strerror or error}"
                raise ConfigError(f"{reason}; choose another data directory with --data") from None
            self._socket = socket

    async def _listen(self, address: Address, front: Front) -> int:
        """The port."""
        runner = await self._runner(front)
        try:
            context = None if self._tls is None else self._tls.context
            site = web.TCPSite(
                runner, address.host, address.port, ssl_context=context, backlog=1024, reuse_address=True
            )
            await site.start()
        except OSError as error:
            await self.close()
            raise ConfigError(
                f"cannot listen on {address.host}:{address.port}: {error.strerror or error}; choose another with"
                f" {address.option}"
            ) from None
        port: int = runner.addresses[0][1]
        return port

    async def _runner(self, front: Front) -> web.ServerRunner:
        server = Server(
            self._observer,
            functools.partial(self._handle, front),
            request_factory=_request,
            handler_cancellation=False,
            access_log=None,
            keepalive_timeout=75.0,
            lingering_time=2.0,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server, handle_signals=False, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def close(self) -> None:
        while self._runners:
            await self._runners.pop().cleanup()
        if self._socket is not None:
            with contextlib.suppress(FileNotFoundError):
                self._socket.unlink()

    async def _handle(self, front: Front, request: web.BaseRequest) -> web.StreamResponse:
        cut = False
        try:
            answer = await self._answer(front, request)
        except Unauthorized as problem:
            answer = await self._unauthorized(front, request, problem)
        except _hooks.Unverified as problem:
            self._failures.note("wrong_signature", self._sender(front, request, read_headers(request).one).address)
            answer = problem.answer()
        except Problem as problem:
            answer = problem.answer()
        except Refused as error:
            answer = Problem(error.status, error.title, error.detail).answer()
        except Overloaded as error:
            after = str(max(1, round(error.retry_after)))
            answer = Problem(503, "Overloaded", str(error), {"Retry-After": after}).answer()
        except StoreFailed as error:
            answer = Problem(503, "The store failed", str(error)).answer()
        except CutOff as error:
            answer, cut = Problem(400, "Incomplete body", str(error)).answer(), True
        except (ConnectionError, anyio.EndOfStream):
            raise
        except Exception as error:
            self._observer.observe(RequestFailed(method=request.method, path=request.path, error=repr(error)))
            answer = Problem(500, "Internal error", "the daemon's log has the reason").answer()
        if answer.stream is not None and answer.status == 101:
            return await send_messages(request, answer.stream, STUCK)
        if answer.stream is not None:
            return await self._stream(request, answer, answer.stream)
        if answer.status >= 400:
            answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        unread = not request.content.at_eof()
        protocol = request.protocol
        assert isinstance(protocol, HttpProtocol)
        return Response(answer.status, answer.headers, answer.body, unread or cut, protocol.is_final)

    @staticmethod
    def _sender(front: Front, request: web.BaseRequest, headers: dict[str, str]) -> Sender:
        return front.access.proxies.sender(request.remote or "", headers)

    async def _unauthorized(self, front: Front, request: web.BaseRequest, problem: Unauthorized) -> Answer:
        address = self._sender(front, request, read_headers(request).one).address
        self._failures.note(problem.reason, address)
        if problem.reason == "wrong_token":
            await self._failures.wrong(address)
        return problem.answer()

    async def _stream(
        self, request: web.BaseRequest, answer: Answer, parts: AsyncGenerator[bytes, None]
    ) -> web.StreamResponse:
        """Sends parts as they come. A client that takes none for `STUCK` seconds is let go."""
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        protocol = request.protocol
        assert isinstance(protocol, HttpProtocol)
        protocol.streaming = True
        try:
            if protocol.half_closed:
                raise ConnectionResetError("the client is gone")
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            async for part in parts:
                with anyio.fail_after(STUCK):
                    await response.write(part)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            await parts.aclose()
        return response

    async def _answer(self, front: Front, request: web.BaseRequest) -> Answer:
        protocol = request.protocol
        assert isinstance(protocol, HttpProtocol)
        protocol.begun()
        method = request.method
        headers = read_headers(request)
        path = read_path(request)
        if headers.one.get("expect", "100-continue").lower() != "100-continue":
            raise Problem(417, "Expectation failed", "the only expectation that is met here is 100-continue")
        query = read_query(request)
        if front.hooks and (path.startswith("/hooks/") or path == "/hooks"):
            inner = path[6:].rstrip("/") or "/"
            return await self._hook(request, method, inner, headers, query)
        api, params = front.table.find(method, path)
        front.access.check(api.right, headers.one, _is_local(request), self._sender(front, request, headers.one))
        raw = b""
        if request.can_read_body:
            raw = ready_body(request, api.limit) or await read_body(request, api.limit)
        if "content-encoding" in headers.one:
            raw = inflate(raw, headers.one["content-encoding"], api.limit)
        answer = await api.handler(Request(method, path, params, query.one, headers.one, raw))
        if answer.status == 101:
            check_handshake(request)
        for name, value in SECURITY.items():
            answer.headers.setdefault(name, value)
        return answer

    async def _hook(self, request: web.BaseRequest, method: str, path: str, names: Named, query: Named) -> Answer:
        headers = names.one
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return _hooks.preflight(self._hooks, path, headers)
        if method == "OPTIONS":
            return _hooks.options(self._hooks, path)
        route, params = self._hooks.find(method, path)
        allowed = _hooks.cross_site(route, headers) if route.origins else None
        given = HttpRequest(
            method=method, path=path, params=params, headers=headers, query=query.one, raw=b"", wait=None,
            headers_all=names.all, query_all=query.all,
        )  # fmt: skip
        if _is_multipart(headers) and request.can_read_body:
            answer = await self._upload(request, route, given)
        else:
            if request.can_read_body:
                given.raw = given.body = ready_body(request, route.limit) or await read_body(request, route.limit)
            if "content-encoding" in headers:
                given.body = inflate(given.body, headers["content-encoding"], route.limit)
            answer = await _hooks.serve(route, given)
        if allowed:
            answer.headers.update(allowed)
        return answer

    async def _upload(self, request: web.BaseRequest, route: HttpRoute, given: HttpRequest) -> Answer:
        """A multipart body goes through a file, so that its size never stands in memory."""
        if "content-encoding" in given.headers:
            raise Problem(415, "Unsupported encoding", "send multipart without Content-Encoding")
        if not route.upload_limit:
            raise Problem(415, "Unsupported media type", "this path takes no multipart")
        spool = await spool_body(request, route.upload_limit, self._incoming)
        try:
            if spool.stat().st_size == 0:
                raise Problem(400, "Malformed body", "the multipart body is empty")
            with spool.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                given.raw, given.spool = raw, spool
                return await _hooks.serve(route, given)
        finally:
            spool.unlink(missing_ok=True)


def _request(*arguments: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = arguments[:5]
    protocol.payload = payload
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=LARGEST
    )


def _is_multipart(headers: dict[str, str]) -> bool:
    kind = headers.get("content-type")
    return kind is not None and kind[:1] in "mM" and kind.lower().startswith("multipart/form-data")


def _is_local(request: web.BaseRequest) -> bool:
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    return sock is not None and sock.family == _socket.AF_UNIX
