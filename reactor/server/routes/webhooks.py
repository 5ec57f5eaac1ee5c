"""Webhook receivers that answered 410, and switching them on again."""

from __future__ import annotations

from reactor.server import answers
from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Webhooks

BODY: dict[str, object] = {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}}


def routes(webhooks: Webhooks) -> list[Route]:
    async def listing(request: Request) -> Answer:
        return answer_json(answers.WebhookPage(await webhooks.items(), None))

    async def enable(request: Request) -> Answer:
        body = request.json()
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str):
            raise Problem(400, "Malformed body", 'the body is {"url": "https://…"}')
        if not await webhooks.enable(url):
            raise Problem(404, "Not found", f"{url} is not switched off")
        return answer_json(answers.Webhook(url, None))

    return [
        Route("GET", "/api/v1/webhooks", "admin", listing, Doc("Webhook receivers that answered 410",
              answers.WebhookPage)),
        Route("POST", "/api/v1/webhooks/enable", "admin", enable, Doc("Sends to a receiver again", answers.Webhook,
              body={"application/json": BODY}, errors=(400, 404))),
    ]  # fmt: skip
