"""NATS: publish (core or JetStream), request, key-value."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from plugins.actions._message import raw, shown
from reactor.contracts.action import ActionContext
from reactor.contracts.durations import DurationError, parse_duration
from reactor.contracts.errors import NotConnected, StepFailed


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind nats, or its URL."""


class PublishOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    subject: str
    """The subject."""
    data: Any = None
    """The message: a text as it is, anything else as JSON."""
    headers: dict[str, str] = {}
    """Headers."""
    jetstream: bool = False
    """Waits until a stream has it; one that comes again after a crash is known by its id and kept once."""


class RequestOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    subject: str
    """The subject."""
    data: Any = None
    """The request: a text as it is, anything else as JSON."""
    headers: dict[str, str] = {}
    """Headers."""
    timeout: str = "10s"
    """How long to wait for the reply."""


class KeyOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bucket: str
    """The bucket."""
    key: str
    """The key."""


class PutOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bucket: str
    """The bucket."""
    key: str
    """The key."""
    data: Any
    """The value: a text as it is, anything else as JSON."""
    revision: int | None = None
    """Only when the key still has this revision; 0: only when it is not there."""


def auto(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return shown(data)


def checked(subject: str, what: str = "subject") -> str:
    if not subject or any(c.isspace() or not c.isprintable() for c in subject) or "*" in subject or ">" in subject:
        raise StepFailed("expression", f"{subject!r} is no {what} to send to", retryable=False)
    return subject


class _Nats:
    needs: ClassVar[str | None] = None
    connection_kinds: ClassVar[tuple[str, ...]] = ("nats",)
    repeat = "safe"

    async def act(self, client: Any, options: Any, context: ActionContext) -> Any:
        raise NotImplementedError

    async def run(self, options: Any, context: ActionContext) -> Any:
        from nats.errors import Error, NoRespondersError
        from nats.js.errors import APIError, KeyWrongLastSequenceError, NoStreamResponseError

        async with context.connection(options.connection) as client:
            try:
                return await self.act(client, options, context)
            except NoRespondersError:
                raise StepFailed("nats.nobody", "nobody answers this subject") from None
            except NoStreamResponseError:
                raise StepFailed("nats.refused", "no stream takes this subject", retryable=False) from None
            except KeyWrongLastSequenceError as error:
                raise StepFailed("nats.revision", str(error), retryable=False) from None
            except APIError as error:
                raise StepFailed("nats.refused", f"{error.description or error}", retryable=False) from None
            except (Error, OSError, TimeoutError) as error:
                if client.gone.is_set() or not isinstance(error, TimeoutError):
                    raise NotConnected(f"nats: {error or type(error).__name__}") from None
                raise StepFailed("nats.timeout", "no answer in time") from None


class Publish(_Nats):
    name = "nats.publish"
    summary = "Publishes to a subject; with `jetstream`, waits until a stream has it."
    repeat = "keyed"
    Options = PublishOptions
    result_fields = ("subject", "stream", "sequence", "duplicate")
    example = "call: nats.publish\nwith: {connection: bus, subject: orders.new, data: {id: 7}, jetstream: true}"

    async def act(self, client: Any, options: PublishOptions, context: ActionContext) -> Any:
        subject, headers = checked(options.subject), dict(options.headers)
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        if not options.jetstream:
            await client.connection.publish(subject, raw(options.data), headers=headers or None)
            await client.connection.flush(timeout=5)
            return {"subject": subject, "stream": None, "sequence": None, "duplicate": None}
        headers.setdefault("Nats-Msg-Id", context.idempotency_key)
        made = await client.jetstream.publish(subject, raw(options.data), headers=headers, timeout=10)
        return {"subject": subject, "stream": made.stream, "sequence": made.seq, "duplicate": bool(made.duplicate)}


class Request(_Nats):
    name = "nats.request"
    summary = "Sends a request and gives the reply."
    repeat = "keyed"
    Options = RequestOptions
    result_fields = ("data", "headers")
    example = "call: nats.request\nwith: {connection: bus, subject: prices.get, data: {sku: a-1}, timeout: 2s}"

    async def act(self, client: Any, options: RequestOptions, context: ActionContext) -> Any:
        try:
            seconds = parse_duration(options.timeout)
        except DurationError as error:
            raise StepFailed("expression", f"timeout: {error}", retryable=False) from None
        reply = await client.connection.request(
            checked(options.subject), raw(options.data), timeout=seconds, headers=options.headers or None
        )
        headers = dict(reply.headers or {})
        if "Nats-Service-Error" in headers:
            raise StepFailed("nats.refused", headers["Nats-Service-Error"], details={"headers": headers})
        return {"data": auto(reply.data), "headers": headers}


class KvGet(_Nats):
    name = "nats.kv_get"
    summary = "Reads a key of a bucket; `value` is null when it is not there."
    Options = KeyOptions
    result_fields = ("value", "revision", "found")
    example = "call: nats.kv_get\nwith: {connection: bus, bucket: settings, key: theme}"

    async def act(self, client: Any, options: KeyOptions, context: ActionContext) -> Any:
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await (await client.jetstream.key_value(options.bucket)).get(checked(options.key, "key"))
        except KeyNotFoundError:
            return {"value": None, "revision": None, "found": False}
        return {"value": auto(entry.value or b""), "revision": entry.revision, "found": True}


class KvPut(_Nats):
    name = "nats.kv_put"
    summary = "Writes a key of a bucket."
    Options = PutOptions
    result_fields = ("revision",)
    example = "call: nats.kv_put\nwith: {connection: bus, bucket: settings, key: theme, data: dark}"

    async def act(self, client: Any, options: PutOptions, context: ActionContext) -> Any:
        bucket = await client.jetstream.key_value(options.bucket)
        key, value = checked(options.key, "key"), raw(options.data)
        if options.revision is None:
            return {"revision": await bucket.put(key, value)}
        if options.revision == 0:
            return {"revision": await bucket.create(key, value)}
        return {"revision": await bucket.update(key, value, last=options.revision)}
