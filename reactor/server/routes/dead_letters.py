"""Dead letters: events that were kept because they could not be taken, and sending them again."""

from __future__ import annotations

import msgspec

from reactor.contracts.event import Event
from reactor.server.routes import PAGING, paging, whole_id
from reactor.server.routes.events import answer_receipt
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services
from reactor.server.views import event_item

BODY = {"type": ["object", "null"], "properties": {"data": {}}, "additionalProperties": False}


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        cursor, limit = paging(request)
        page = await services.store.events(cursor, limit, invalid=True)
        return answer_json({"items": [event_item(stored) for stored in page.items], "next": page.next})

    async def replay(request: Request) -> Answer:
        stored = await services.store.event(await whole_id(services, "evt_", request.params["id"]))
        if stored is None or stored.invalid is None:
            raise Problem(404, "Not found", f"there is no dead letter {request.params['id']}")
        body = request.json()
        if body is not None and (not isinstance(body, dict) or set(body) - {"data"}):
            raise Problem(400, "Malformed body", 'the body is empty, or {"data": …} to send instead')
        data = body["data"] if body and "data" in body else stored.event.data
        again: Event = msgspec.structs.replace(stored.event, data=data, invalid=None, key=f"replay of {stored.id}")
        return answer_receipt(await services.emit(stored.origin, again, None))

    return [
        Route("GET", "/api/v1/dead-letters", "admin", listing, Doc("Events that could not be taken, with the reason",
              "EventPage", query=PAGING, errors=(400,))),
        Route("POST", "/api/v1/dead-letters/{id}/replay", "admin", replay, Doc("Sends one again, or other data",
              "Sent", 202, body={"application/json": BODY}, errors=(400, 404, 422, 503))),
    ]  # fmt: skip
