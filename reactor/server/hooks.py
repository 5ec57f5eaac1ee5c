"""Routes that triggers put under /hooks."""

from __future__ import annotations

import re

from reactor.contracts.trigger import HttpRequest, HttpRoute
from reactor.kit.durations import DurationError, parse_duration
from reactor.kit.paths import part_value, plain_path
from reactor.server.auth import origin_host
from reactor.server.routing import Answer, Problem

EXPOSED = "Location, Retry-After"
BARE_WAIT = 30.0
LONGEST_WAIT = 300.0
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


class Unverified(Problem):
    """A hook's sender could not be verified; no reason is given."""

    def __init__(self) -> None:
        super().__init__(401, "Unauthorized")


class Hooks:
    """Fulfils `HttpMount`."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, HttpRoute]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, dict[str, HttpRoute]]] = []

    def add(self, route: HttpRoute) -> None:
        given = plain_path(route.path)
        if "{" not in given:
            self._exact.setdefault(given, {})[route.method] = route
            return
        for _, path, methods in self._patterns:
            if path == given:
                methods[route.method] = route
                return
        source = re.sub(r"\\\{([a-z][a-z0-9_]*)\\\}", r"(?P<\1>[^/]+)", re.escape(given))
        self._patterns.append((re.compile(source), given, {route.method: route}))
        self._patterns.sort(key=lambda item: (item[1].count("{"), item[1]))

    def remove(self, route: HttpRoute) -> None:
        given = plain_path(route.path)
        for path, methods in [*self._exact.items(), *((p, m) for _, p, m in self._patterns)]:
            if path == given and methods.get(route.method) is route:
                del methods[route.method]
        self._exact = {path: methods for path, methods in self._exact.items() if methods}
        self._patterns = [item for item in self._patterns if item[2]]

    def methods(self, path: str) -> tuple[dict[str, HttpRoute], dict[str, str]]:
        """The routes of a path, and what stands in its parts. Raises Problem 404, which tells nothing."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods, {}
        for pattern, _, candidates in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return candidates, {name: part_value(part) for name, part in match.groupdict().items()}
        raise Problem(404, "Not found")

    def find(self, method: str, path: str) -> tuple[HttpRoute, dict[str, str]]:
        """Raises Problem 404 or 405."""
        methods, params = self.methods(path)
        route = methods.get(method)
        if route is None:
            raise Problem(405, "Method not allowed", headers={"Allow": _allow(methods)})
        return route, params


def _allow(methods: dict[str, HttpRoute]) -> str:
    return ", ".join(sorted({*methods, "OPTIONS"}))


def options(hooks: Hooks, path: str) -> Answer:
    """What a path takes."""
    methods, _ = hooks.methods(path)
    return Answer(204, b"", {"Allow": _allow(methods)})


def cross_site(route: HttpRoute, headers: dict[str, str]) -> dict[str, str]:
    """What an answer tells a browser of another site (Fetch standard, CORS). Raises Problem 403 where `cors` names
    other sites; a path without `cors` leaves it to `verify`."""
    origin = headers.get("origin")
    if origin is None or not route.origins:
        return {}
    if "*" in route.origins:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
    if origin not in route.origins:
        if origin_host(origin) == headers.get("host"):
            return {}
        raise Problem(403, "Cross-site request", headers={"Vary": "Origin"})
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": EXPOSED}


def preflight(hooks: Hooks, path: str, headers: dict[str, str]) -> Answer:
    """The answer to a browser that asks whether its page may send a request."""
    route, _ = hooks.find(headers["access-control-request-method"], path)
    allowed = cross_site(route, headers)
    if not allowed:
        raise Problem(403, "Cross-site request")
    asked = headers.get("access-control-request-headers", "")
    allowed |= {"Access-Control-Allow-Methods": route.method, "Access-Control-Max-Age": "600"}
    if asked and re.fullmatch(r"[A-Za-z0-9-]+( *, *[A-Za-z0-9-]+)*", asked):
        allowed["Access-Control-Allow-Headers"] = asked
    return Answer(204, b"", {"Vary": "Origin", **allowed})


def parse_wait(query: dict[str, str]) -> float | None:
    """Seconds of `?wait`, bare or with a duration. Raises Problem 400."""
    text = query.get("wait")
    if text is None:
        return None
    if text == "":
        return BARE_WAIT
    try:
        seconds = float(text) if _NUMBER.fullmatch(text) else parse_duration(text)
    except DurationError as error:
        raise Problem(400, "Bad wait", str(error)) from None
    if seconds > LONGEST_WAIT:
        raise Problem(400, "Bad wait", "a request waits at most 5m")
    return seconds


async def serve(route: HttpRoute, request: HttpRequest) -> Answer:
    """Hands a request to its trigger."""
    request.wait = parse_wait(request.query)
    if request.wait is not None:
        request.query = {name: value for name, value in request.query.items() if name != "wait"}
        if request.query_all is not None:
            request.query_all = {name: given for name, given in request.query_all.items() if name != "wait"}
    answer = await route.handle(request)
    if answer.unverified:
        raise Unverified()
    return Answer(answer.status, answer.body, answer.headers)
