"""The routing table: method, path, right, handler. Deny by default: a route without a right cannot be made."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from reactor.kit.charset import NotText, decode_json, parameter
from reactor.kit.paths import part_value

Right = Literal["public", "send", "admin"]
"""public: anyone who reaches the port. send: the ways in. admin: all else. Both need the token where one is set."""
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler gets. `raw` is the body, within its limit."""

    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes

    def json(self) -> Any:
        """The body as JSON; null when there is none. Raises Problem 400."""
        if not self.raw:
            return None
        try:
            return decode_json(self.raw, parameter(self.headers.get("content-type", ""), "charset"))
        except NotText as error:
            raise Problem(400, "Malformed body", f"the body is not valid JSON: {error}") from None

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") or None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncGenerator[bytes, None] | None = None
    """What follows, as it comes; `body` is empty then. With status 101 each part is a message of a WebSocket."""


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Doc:
    """What `/openapi.json` says of a route. `answer` is a struct of `reactor.server.answers`, a schema, or a media type
    for what is not valid JSON; `query` names parameters of `reactor.server.openapi`."""

    summary: str
    answer: type | str | dict[str, object]
    status: int = 200
    query: tuple[str, ...] = ()
    body: dict[str, dict[str, object]] | None = None
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    """Request headers that count."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    right: Right
    handler: Handler
    doc: Doc
    limit: int = 1024 * 1024


class Problem(Exception):
    """An RFC 9457 answer."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def answer(self) -> Answer:
        body: dict[str, object] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        return Answer(
            self.status,
            msgspec.json.encode(body | self.more, enc_hook=str),
            {"Content-Type": "application/problem+json", **SECURITY, **self.headers},
        )


def answer_json(value: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, msgspec.json.encode(value), {"Content-Type": "application/json", **headers})


def allow(methods: Collection[str]) -> str:
    """The header Allow of an API path: whatever takes GET takes HEAD."""
    return ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))


class Table:
    """Finds the route of a request."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        shapes: dict[str, dict[str, Route]] = {}
        for route in routes:
            target = shapes if "{" in route.path else self._exact
            target.setdefault(route.path, {})[route.method] = route
        for path, methods in shapes.items():
            source = re.sub(r"\\\{([a-z_]+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            self._patterns.append((re.compile(source), methods))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Raises Problem 404 or 405."""
        methods = self._exact.get(path)
        params: dict[str, str] = {}
        if methods is None:
            for pattern, candidates in self._patterns:
                match = pattern.fullmatch(path)
                if match:
                    methods = candidates
                    params = {name: part_value(part) for name, part in match.groupdict().items()}
                    break
        if methods is None:
            raise Problem(404, "Not found")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise Problem(405, "Method not allowed", headers={"Allow": allow(methods)})
        return route, params
