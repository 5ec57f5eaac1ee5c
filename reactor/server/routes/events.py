"""Events: CloudEvents in (binary, structured, batch, NDJSON), the log, `why`."""

from __future__ import annotations

from typing import Any

from reactor.contracts.errors import Overloaded, Refused
from reactor.contracts.event import Event
from reactor.contracts.trigger import Receipt
from reactor.contracts.verdicts import none_started, verdict_item
from reactor.kit.charset import NotText, decode_json
from reactor.server.cloudevents import BadEvent, binary, structured
from reactor.server.hooks import parse_wait
from reactor.server.routes import PAGING, paging, whole_id
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services
from reactor.server.views import event_item, event_view

LIMIT = 16 * 1024 * 1024
MAX_BATCH = 10_000
SEND = Doc(
    "Sends events: CloudEvents (binary, structured, batch, NDJSON), or a plain body with ?type=",
    {"oneOf": [{"$ref": "#/components/schemas/Sent"}, {"$ref": "#/components/schemas/SentBatch"}]},
    status=202,
    query=("wait", "type"),
    body={
        "application/cloudevents+json": {"$ref": "#/components/schemas/CloudEvent"},
        "application/cloudevents-batch+json": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}},
        "application/x-ndjson": {"type": "string"},
        "application/json": {},
    },
    errors=(400, 403, 413, 415, 422, 503),
    headers=("Idempotency-Key",),
)


def receipt_item(receipt: Receipt) -> dict[str, Any]:
    return {"event": receipt.event, "runs": [{"id": run.id, "flow": run.flow} for run in receipt.runs]}


def location(receipt: Receipt) -> str:
    if len(receipt.runs) == 1:
        return f"/api/v1/runs/{receipt.runs[0].id}"
    return f"/api/v1/events/{receipt.event}"


def answer_receipt(receipt: Receipt, waited: bool = False) -> Answer:
    """202 with the runs, or, when their end was waited for, 200 with how they ended. Who waits for a run and gets none
    is told why."""
    if receipt.outcomes is None:
        why = none_started(receipt.verdicts) if waited and not receipt.runs else {}
        return answer_json(receipt_item(receipt) | why, 202, Location=location(receipt))
    shown = [
        {"id": o.run, "flow": o.flow, "status": o.status, "output": o.output, "error": o.error}
        for o in receipt.outcomes
    ]
    return answer_json({"event": receipt.event, "runs": shown}, 200, Location=location(receipt))


def routes(services: Services) -> list[Route]:
    async def one(event: Event, wait: float | None) -> Receipt:
        return await services.emit("event", event, wait)

    async def post(request: Request) -> Answer:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == "application/cloudevents+json":
                wait = parse_wait(request.query)
                return answer_receipt(await one(structured(request.json()), wait), wait is not None)
            if kind == "application/cloudevents-batch+json":
                listed = request.json()
                if not isinstance(listed, list):
                    raise BadEvent("a batch is a JSON list of events")
                return await many([(item, None) for item in listed])
            if kind in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
                return await many([_line(line) for line in request.raw.splitlines() if line.strip()])
            if kind.startswith("application/cloudevents"):
                raise Problem(415, "Unsupported media type", f"{kind} is not read here")
            event = binary(request.headers, request.raw, request.query.get("type"))
        except BadEvent as error:
            raise Problem(400, "Not a CloudEvent", str(error)) from None
        wait = parse_wait(request.query)
        return answer_receipt(await one(event, wait), wait is not None)

    async def many(items: list[tuple[Any, str | None]]) -> Answer:
        if len(items) > MAX_BATCH:
            raise Problem(413, "Too large", f"a batch has at most {MAX_BATCH:,} events")
        results = [await single(item, broken) for item, broken in items]
        return answer_json(results, 202 if all("error" not in result for result in results) else 207)

    async def single(item: Any, broken: str | None) -> dict[str, Any]:
        try:
            if broken is not None:
                raise BadEvent(broken)
            return receipt_item(await one(structured(item), None))
        except BadEvent as error:
            return {"error": {"status": 400, "title": "Not a CloudEvent", "detail": str(error)}}
        except Refused as error:
            return {"error": {"status": error.status, "title": error.title, "detail": error.detail}}
        except Overloaded as error:
            return {"error": {"status": 503, "title": "Overloaded", "detail": str(error)}}

    async def listing(request: Request) -> Answer:
        cursor, limit = paging(request)
        page = await services.store.events(cursor, limit, request.query.get("type"))
        return answer_json({"items": [event_item(stored) for stored in page.items], "next": page.next})

    async def show(request: Request) -> Answer:
        return answer_json(event_view(await _event(services, request)))

    async def why(request: Request) -> Answer:
        stored = await _event(services, request)
        verdicts = [verdict_item(verdict) for verdict in services.why(stored)]
        return answer_json({"event": stored.id, "flows": stored.flows, "verdicts": verdicts})

    return [
        Route("POST", "/api/v1/events", "send", post, SEND, LIMIT),
        Route("GET", "/api/v1/events", "admin", listing, Doc("The newest events", "EventPage", query=(*PAGING, "type"),
              errors=(400,))),
        Route("GET", "/api/v1/events/{id}", "admin", show, Doc("One event whole", "Event", errors=(404,))),
        Route("GET", "/api/v1/events/{id}/why", "admin", why, Doc("Every flow's verdict on an event", "Why",
              errors=(404,))),
    ]  # fmt: skip


async def _event(services: Services, request: Request) -> Any:
    stored = await services.store.event(await whole_id(services, "evt_", request.params["id"]))
    if stored is None:
        raise Problem(404, "Not found", f"there is no event {request.params['id']}")
    return stored


def _line(line: bytes) -> tuple[Any, str | None]:
    try:
        return decode_json(line), None
    except NotText as error:
        return None, f"the line is not valid JSON: {error}"
