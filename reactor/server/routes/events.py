"""Events: CloudEvents in (binary, structured, batch, NDJSON), the log, `why`."""

from __future__ import annotations

from reactor.contracts.errors import Overloaded, Refused
from reactor.contracts.event import Event, StoredEvent
from reactor.contracts.trigger import Receipt
from reactor.kit.charset import NotText, decode_json
from reactor.server import answers
from reactor.server.cloudevents import BadEvent, binary, structured
from reactor.server.hooks import parse_wait
from reactor.server.paging import PAGING, paging, whole_id
from reactor.server.receipts import answer_receipt, sent
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.schemas import SENT, ref
from reactor.server.services import Events
from reactor.server.views import event_whole

LIMIT = 16 * 1024 * 1024
MAX_BATCH = 10_000
SEND = Doc(
    "Sends events: CloudEvents (binary, structured, batch, NDJSON), or a plain body with ?type=",
    SENT,
    status=202,
    query=("wait", "type"),
    body={
        "application/cloudevents+json": ref("CloudEvent"),
        "application/cloudevents-batch+json": {"type": "array", "items": ref("CloudEvent")},
        "application/x-ndjson": {"type": "string"},
        "application/json": {},
    },
    errors=(400, 403, 413, 415, 422, 503),
    headers=("Idempotency-Key",),
)


def routes(events: Events) -> list[Route]:
    async def one(event: Event, wait: float | None) -> Receipt:
        return await events.emit("event", event, wait)

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

    async def many(items: list[tuple[object, str | None]]) -> Answer:
        if len(items) > MAX_BATCH:
            raise Problem(413, "Too large", f"a batch has at most {MAX_BATCH:,} events")
        results = [await single(item, broken) for item, broken in items]
        return answer_json(results, 202 if all(isinstance(one, answers.Sent) for one in results) else 207)

    async def single(item: object, broken: str | None) -> answers.Sent | answers.RefusedItem:
        try:
            if broken is not None:
                raise BadEvent(broken)
            return sent(await one(structured(item), None))
        except BadEvent as error:
            return _refused(400, "Not a CloudEvent", str(error))
        except Refused as error:
            return _refused(error.status, error.title, error.detail)
        except Overloaded as error:
            return _refused(503, "Overloaded", str(error))

    async def listing(request: Request) -> Answer:
        cursor, limit = paging(request)
        return answer_json(await events.page(cursor, limit, request.query.get("type")))

    async def show(request: Request) -> Answer:
        return answer_json(event_whole(await _event(events, request)))

    async def why(request: Request) -> Answer:
        return answer_json(events.why(await _event(events, request)))

    return [
        Route("POST", "/api/v1/events", "send", post, SEND, LIMIT),
        Route("GET", "/api/v1/events", "admin", listing, Doc("The newest events", answers.EventPage,
              query=(*PAGING, "type"), errors=(400,))),
        Route("GET", "/api/v1/events/{id}", "admin", show, Doc("One event whole", answers.Event, errors=(404,))),
        Route("GET", "/api/v1/events/{id}/why", "admin", why, Doc("Every flow's verdict on an event", answers.Why,
              errors=(404,))),
    ]  # fmt: skip


def _refused(status: int, title: str, detail: str) -> answers.RefusedItem:
    return answers.RefusedItem(answers.Refusal(status, title, detail))


async def _event(events: Events, request: Request) -> StoredEvent:
    stored = await events.event(await whole_id(events, "evt_", request.params["id"]))
    if stored is None:
        raise Problem(404, "Not found", f"there is no event {request.params['id']}")
    return stored


def _line(line: bytes) -> tuple[object, str | None]:
    try:
        return decode_json(line), None
    except NotText as error:
        return None, f"the line is not valid JSON: {error}"
