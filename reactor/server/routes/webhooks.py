"""Webhook receivers that answered 410, and switching them on again."""

from __future__ import annotations

from reactor.server.routing import Answer, Doc, Problem, Request, Route, answer_json
from reactor.server.services import Services


def routes(services: Services) -> list[Route]:
    async def listing(request: Request) -> Answer:
        found = await services.webhooks.items()
        items = [{"url": url, "disabled": at} for url, at in sorted(found.items())]
        return answer_json({"items": items, "next": None})

    async def enable(request: Request) -> Answer:
        body = request.json()
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str):
            raise Problem(400, "Malformed body", 'the body is {"url": "https://…"}')
        if url not in await services.webhooks.items():
            raise Problem(404, "Not found", f"{url} is not switched off")
        await services.webhooks.set(url, None)
        return answer_json({"url": url, "disabled": None})

    return [
        Route("GET", "/api/v1/webhooks", "admin", listing, Doc("Webhook receivers that answered 410", "WebhookPage")),
        Route("POST", "/api/v1/webhooks/enable", "admin", enable, Doc("Sends to a receiver again", "Webhook",
              body={"application/json": {"type": "object", "required": ["url"],
                    "properties": {"url": {"type": "string"}}}}, errors=(400, 404))),
    ]  # fmt: skip
