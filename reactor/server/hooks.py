"""Routes that triggers put under /hooks."""

from __future__ import annotations

import re

from reactor.contracts.durations import DurationError, parse_duration
from reactor.contracts.trigger import HttpRequest, HttpRoute
from reactor.server.routing import Answer, Problem

BARE_WAIT = 30.0
LONGEST_WAIT = 300.0


class Hooks:
    """Fulfils `HttpMount`."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, HttpRoute]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, dict[str, HttpRoute]]] = []

    def add(self, route: HttpRoute) -> None:
        if "{" not in route.path:
            self._exact.setdefault(route.path, {})[route.method] = route
            return
        for _, path, methods in self._patterns:
            if path == route.path:
                methods[route.method] = route
                return
        source = re.sub(r"\\\{([a-z][a-z0-9_]*)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        self._patterns.append((re.compile(source), route.path, {route.method: route}))
        self._patterns.sort(key=lambda item: (item[1].count("{"), item[1]))

    def remove(self, route: HttpRoute) -> None:
        for path, methods in [*self._exact.items(), *((p, m) for _, p, m in self._patterns)]:
            if path == route.path and methods.get(route.method) is route:
                del methods[route.method]
        self._exact = {path: methods for path, methods in self._exact.items() if methods}
        self._patterns = [item for item in self._patterns if item[2]]

    def find(self, method: str, path: str) -> tuple[HttpRoute, dict[str, str]]:
        """Raises Problem 404 (which tells nothing) or 405."""
        methods = self._exact.get(path)
        params: dict[str, str] = {}
        if methods is None:
            for pattern, _, candidates in self._patterns:
                match = pattern.fullmatch(path)
                if match:
                    methods, params = candidates, match.groupdict()
                    break
        if methods is None:
            raise Problem(404, "Not found")
        route = methods.get(method)
        if route is None:
            raise Problem(405, "Method not allowed", headers={"Allow": ", ".join(sorted(methods))})
        return route, params


def parse_wait(query: dict[str, str]) -> float | None:
    """Seconds of `?wait`, bare or with a duration. Raises Problem 400."""
    text = query.get("wait")
    if text is None:
        return None
    if text == "":
        return BARE_WAIT
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    except DurationError as error:
        raise Problem(400, "Bad wait", str(error)) from None
    if seconds > LONGEST_WAIT:
        raise Problem(400, "Bad wait", "a request waits at most 5m")
    return seconds


async def serve(
    route: HttpRoute,
    params: dict[str, str],
    method: str,
    path: str,
    headers: dict[str, str],
    query: dict[str, str],
    raw: bytes,
) -> Answer:
    """Hands a request to its trigger."""
    wait = parse_wait(query)
    if wait is not None:
        query = {name: value for name, value in query.items() if name != "wait"}
    answer = await route.handle(
        HttpRequest(method=method, path=path, params=params, headers=headers, query=query, raw=raw, wait=wait)
    )
    return Answer(answer.status, answer.body, answer.headers)
