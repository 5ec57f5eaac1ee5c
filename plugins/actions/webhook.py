"""A sender of Standard Webhooks (standardwebhooks.com, 1.0): signed, repeated over three days, off when it is gone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from plugins.actions.http import Post
from plugins.http_client.guard import is_literal
from plugins.http_client.request import RequestOptions, through, wrong
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.kinds import ActionKind

MINUTE, HOUR = 60.0, 3600.0
WAITS = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds before each further try: ten tries over about 75 hours."""


class SendOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """The receiver; http or https."""
    secret: str | list[str]
    """The signing secret (`whsec_` and base64), from `secrets`; several sign each, for rotation."""
    type: str
    """The event's type, such as order.charged."""
    data: Any = None
    """The event's data."""
    id: str | None = None
    """The message's id; the same over all tries. Made of run and step unless given."""
    headers: dict[str, Any] = {}
    """Further headers."""
    timeout: str = "15s"
    """For each try."""
    connection: str | None = None
    """A connection of the kind http."""


def key_of(secret: str) -> bytes:
    """Raises StepFailed for what is no Standard Webhooks secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 16 <= len(key) <= 128:
        raise StepFailed(
            "expression", "the secret is whsec_ and 24 to 64 bytes in base64 (openssl rand -base64 32)", retryable=False
        )
    return key


class Send(ActionKind[SendOptions]):
    name = "webhook.send"
    summary = "Sends a signed Standard Webhook; ten tries over 75 hours, and no more after a 410."
    repeat = "keyed"
    connection_kinds = ("http",)
    retry_waits = WAITS
    Options = SendOptions
    result_fields = ("id", "status")
    example = (
        "call: webhook.send\nwith:\n  url: https://partner.example/hooks\n  secret: ${{ secrets.partner }}\n"
        "  type: order.charged\n  data: {id: 7}"
    )

    async def run(self, options: SendOptions, context: ActionContext) -> object:
        memory = context.memory
        if memory is not None and (off := await memory.get(options.url)) is not None:
            raise StepFailed(
                "webhook.disabled",
                f"{options.url} answered 410 at {off}; `reactor webhooks enable {options.url}` sends to it again",
                retryable=False,
            )
        digest = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
        id = options.id or f"msg_{digest}"
        if "." in id or not id.isprintable():
            raise StepFailed("expression", "an id has no dots", retryable=False)
        stamp = int(context.clock.now())
        try:
            body = msgspec.json.encode({"type": options.type, "timestamp": rfc3339(stamp), "data": options.data})
        except (ValueError, OverflowError):
            raise wrong("the data holds text that cannot be UTF-8, or a number that JSON does not have") from None
        secrets = [options.secret] if isinstance(options.secret, str) else options.secret
        signed = f"{id}.{stamp}.".encode() + body
        signatures = [
            "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode() for secret in secrets
        ]
        request = RequestOptions(
            url=options.url,
            body=body.decode(),
            headers={
                **options.headers,
                "Content-Type": "application/json",
                "webhook-id": id,
                "webhook-timestamp": str(stamp),
                "webhook-signature": " ".join(signatures),
            },
            timeout=options.timeout,
            follow=0,
        )
        try:
            answer = await self._post(request, options.connection, context)
        except StepFailed as error:
            if error.status == 410 and memory is not None:
                await memory.set(options.url, rfc3339(context.clock.now()))
                raise StepFailed(
                    "webhook.gone",
                    f"{options.url} answered 410: nothing more is sent to it",
                    status=410,
                    retryable=False,
                ) from None
            if error.type == "http.status":
                error.retryable = True  # rule 16: any status but 2xx and 410 is tried again
            raise
        return {"id": id, "status": answer["status"]}

    async def _post(self, request: RequestOptions, connection: str | None, context: ActionContext) -> dict[str, Any]:
        if connection is None:
            literal = is_literal(request.url, context.literals.get("url"))
            return await Post().exchange(request, context, literal, content=False)
        async with context.connection(connection) as api:
            return await Post().exchange(through(request, api), context, True, content=False)
