"""Dead letters: events that were kept because they could not be taken, and sending them again."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.paging import PAGING, paging, whole_id
from reactor.server.receipts import answer_receipt
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import DeadLetters

BODY = {"type": ["object", "null"], "properties": {"data": {}}, "additionalProperties": False}


def routes(letters: DeadLetters) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(await letters.page(*paging(request)))

    async def replay(request: Request) -> Answer:
        stored = await letters.letter(await whole_id(letters, "evt_", request.params["id"]))
        if stored is None:
            raise Problem(404, "Not found", f"there is no dead letter {request.params['id']}")
        body = request.json()
        if body is not None and (not isinstance(body, dict) or set(body) - {"data"}):
            raise Problem(400, "Malformed body", 'the body is empty, or {"data": …} to send instead')
        data = body["data"] if body and "data" in body else stored.event.data
        return answer_receipt(await letters.replay(stored, data))

    return [
        Route("GET", "/api/v1/dead-letters", "admin", listing, Doc("Events that could not be taken, with the reason",
              answers.EventPage, query=PAGING, errors=(400,))),
        Route("POST", "/api/v1/dead-letters/{id}/replay", "admin", replay, Doc("Sends one again, or other data",
              answers.Sent, 202, body={"application/json": BODY}, errors=(400, 404, 422, 503))),
    ]  # fmt: skip
