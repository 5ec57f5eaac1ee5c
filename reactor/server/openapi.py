"""`/openapi.json` (OpenAPI 3.1.0), made from the routing table: what is not described cannot be a route."""

from __future__ import annotations

import re

from reactor.server import answers
from reactor.server.answers.shape import STATUSES
from reactor.server.routing import Answer, Doc, Request, Route, answer_json
from reactor.server.schemas import SCHEMAS, SENT, Schema, ref

PARAMETERS: dict[str, Schema] = {
    "limit": {
        "description": "items a page",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
    },
    "cursor": {"description": "`next` of the page before", "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}},
    "flow": {"description": "of this flow", "schema": {"type": "string"}},
    "status": {"description": "with this status", "schema": {"enum": STATUSES}},
    "event": {"description": "started by this event", "schema": {"type": "string"}},
    "since": {"description": "created from then on", "schema": {"type": "string", "format": "date-time"}},
    "until": {"description": "created before", "schema": {"type": "string", "format": "date-time"}},
    "under": {"description": "the path of a step: what stands inside it", "schema": {"type": "string"}},
    "type": {"description": "of this type; for a plain body, its type", "schema": {"type": "string"}},
    "wait": {
        "description": "waits so long for the end of the runs (bare: 30s; at most 5m)",
        "schema": {"type": "string", "pattern": "^([0-9]{1,2}s)?$"},
    },
    "facts": {"description": "only these, by comma", "schema": {"type": "string"}},
    "last_event_id": {"description": "as the header Last-Event-ID", "schema": {"type": "string"}},
}
ERRORS = {
    400: "The request is malformed.",
    401: "A token is needed.",
    403: "Not allowed.",
    404: "There is none.",
    409: "Not possible as things stand.",
    413: "Too large.",
    415: "This media type or encoding is not read.",
    422: "It does not fit the schema.",
    426: "This path speaks WebSocket.",
    503: "Overloaded or not ready; nothing was stored.",
}
PROBLEM: Schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
READABLE = {"/healthz": answers.Health, "/readyz": answers.Readiness}
"""Routes whose 503 says more than a problem."""


def openapi_route(routes: list[Route], version: str) -> Route:
    """The route that describes all, itself included."""
    doc = Doc("This description", {"type": "object"})

    async def openapi(request: Request) -> Answer:
        return answer_json(description([*routes, route], version))

    route = Route("GET", "/openapi.json", "admin", openapi, doc)
    return route


def description(routes: list[Route], version: str) -> Schema:
    """The OpenAPI document of a routing table."""
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reactor",
            "version": version,
            "description": "Errors are RFC 9457 problems; times are RFC 3339 in UTC; ids are UUIDv7 with a prefix.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Schema:
    doc = route.doc
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api/v1").replace("{", "by-"))
    found: Schema = {
        "operationId": "-".join([route.method.lower(), *words]),
        "summary": doc.summary,
        "tags": [next((word for word in words if word not in ("by",)), "root")],
        "parameters": _parameters(route),
        "responses": _responses(route),
        "security": [{}] if route.right == "public" else [{}, {"token": []}],
    }
    if doc.body is not None:
        found["requestBody"] = {"content": {kind: {"schema": schema} for kind, schema in doc.body.items()}}
    return found


def _parameters(route: Route) -> list[Schema]:
    text: Schema = {"type": "string"}
    names = re.findall(r"{([a-z_]+)}", route.path)
    return [
        *({"name": name, "in": "path", "required": True, "schema": text} for name in names),
        *({"name": name, "in": "query", **PARAMETERS[name]} for name in route.doc.query),
        *({"name": name, "in": "header", "schema": text} for name in route.doc.headers),
    ]


def _responses(route: Route) -> Schema:
    doc = route.doc
    found: Schema = {str(doc.status): {"description": doc.summary, "content": _content(doc.answer)}}
    if "wait" in doc.query:
        found["200"] = {
            "description": "How the runs ended, when that was waited for",
            "content": _content(answers.Waited),
        }
    if doc.answer == SENT:
        found["207"] = {
            "description": "Some items of a batch were refused",
            "content": _content(ref("SentBatch")),
        }
    errors = set(doc.errors) | ({401, 403} if route.right != "public" else set())
    if doc.body is not None:
        errors |= {400, 413, 415}
    for status in sorted(errors):
        content = PROBLEM
        if status == 503 and route.path in READABLE:
            content = _content(READABLE[route.path])
        found[str(status)] = {"description": ERRORS[status], "content": content}
    return found


def _content(answer: type | str | Schema) -> Schema:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": answer if isinstance(answer, dict) else ref(answer)}}
