"""NATS: publish (core or JetStream), request, key-value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from plugins.actions._message import raw, sendable, shown
from plugins.connections.nats import Client
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.text import shown as escaped
from reactor.kit.durations import DurationError, parse_duration

if TYPE_CHECKING:
    from plugins.connections._nats_client import Connection, Message


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


def auto(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return shown(data)


LONGEST_SUBJECT = 2000
"""Bytes; a line that is too long for the server (4,096 by default) costs the connection of everyone."""
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def checked(subject: str, what: str = "subject") -> str:
    """A subject or key that can be sent to. Raises StepFailed."""
    bad = any(c.isspace() or not c.isprintable() for c in subject) or "*" in subject or ">" in subject
    if bad or not all(subject.split(".")) or len(subject.encode("utf-8", "replace")) > LONGEST_SUBJECT:
        raise StepFailed("expression", f"{escaped(subject[:100])!r} is no {what} to send to", retryable=False)
    return subject


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that the protocol can carry. Raises StepFailed."""
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise StepFailed("expression", f"{name[:100]!r} is not the name of a NATS header", retryable=False)
        sendable(f"the header {name}", value)
    return headers


Given = TypeVar("Given", bound=_Options, contravariant=True)


class _Nats(ActionKind[Given]):
    connection_kinds = ("nats",)
    repeat = "safe"

    async def act(self, client: Client, options: Given, context: ActionContext) -> object:
        raise NotImplementedError

    async def run(self, options: Given, context: ActionContext) -> object:
        from nats.errors import Error

        async with context.connection(options.connection) as client:
            try:
                return await self.act(client, options, context)
            except (Error, OSError, TimeoutError, ValueError) as error:
                raise _failure(client, error) from None


def _failure(client: Client, error: Exception) -> StepFailed | NotConnected:
    """What the library raised, as a step sees it. Only a lost connection is one: the client has other users."""
    from nats import errors
    from nats.js import errors as jetstream

    if isinstance(error, errors.NoRespondersError):
        return StepFailed("nats.nobody", "nobody answers this subject")
    if isinstance(error, jetstream.NoStreamResponseError):
        return StepFailed("nats.refused", "no stream takes this subject", retryable=False)
    if isinstance(error, jetstream.KeyWrongLastSequenceError):
        return StepFailed("nats.revision", str(error), retryable=False)
    if isinstance(error, jetstream.ServiceUnavailableError):
        return StepFailed("nats.refused", "the server has no JetStream now, or this user has no right to it")
    if isinstance(error, jetstream.APIError):
        return StepFailed("nats.refused", f"{error.description or error}", retryable=False)
    if isinstance(error, errors.MaxPayloadError):
        most = client.connection.max_payload
        return StepFailed("limit", f"the message is larger than the server takes ({most:,} bytes)", retryable=False)
    lost = client.gone.is_set() or isinstance(error, errors.ConnectionClosedError)
    if isinstance(error, TimeoutError) and not lost:
        return StepFailed("nats.timeout", "no answer in time")
    if lost or isinstance(error, OSError):
        return NotConnected(f"nats: {error or type(error).__name__}")
    return StepFailed("expression", f"nats: {error or type(error).__name__}", retryable=False)


async def _publish(connection: Connection, subject: str, data: bytes, headers: dict[str, str]) -> None:
    """The server says what it does not allow only beside the stream of messages, before it answers the flush."""
    refused: list[str] = []

    def heard(error: Exception) -> None:
        if f'publish to "{subject.lower()}"' in str(error) or "invalid publish subject" in str(error):
            refused.append(str(error))

    connection.hear.add(heard)
    try:
        await connection.publish(subject, data, headers=headers or None)
        await connection.flush(timeout=5)
    finally:
        connection.hear.discard(heard)
    if refused:
        raise StepFailed("nats.refused", refused[0], retryable=False)


class Publish(_Nats[PublishOptions]):
    name = "nats.publish"
    summary = "Publishes to a subject; with `jetstream`, waits until a stream has it."
    repeat = "keyed"
    Options = PublishOptions
    result_fields = ("subject", "stream", "sequence", "duplicate")
    example = "call: nats.publish\nwith: {connection: bus, subject: orders.new, data: {id: 7}, jetstream: true}"

    async def act(self, client: Client, options: PublishOptions, context: ActionContext) -> object:
        subject, headers = checked(options.subject), dict(checked_headers(options.headers))
        if context.traceparent is not None:
            headers.setdefault("traceparent", context.traceparent)
        if not options.jetstream:
            await _publish(client.connection, subject, raw(options.data), headers)
            return {"subject": subject, "stream": None, "sequence": None, "duplicate": None}
        headers.setdefault("Nats-Msg-Id", context.idempotency_key)
        made = await client.jetstream.publish(subject, raw(options.data), headers=headers, timeout=10)
        return {"subject": subject, "stream": made.stream, "sequence": made.seq, "duplicate": bool(made.duplicate)}


class Request(_Nats[RequestOptions]):
    name = "nats.request"
    summary = "Sends a request and gives the reply."
    repeat = "keyed"
    Options = RequestOptions
    result_fields = ("data", "headers")
    example = "call: nats.request\nwith: {connection: bus, subject: prices.get, data: {sku: a-1}, timeout: 2s}"

    async def act(self, client: Client, options: RequestOptions, context: ActionContext) -> object:
        try:
            seconds = parse_duration(options.timeout)
        except DurationError as error:
            raise StepFailed("expression", f"timeout: {error}", retryable=False) from None
        reply = cast("Message", await client.connection.request(
            checked(options.subject), raw(options.data), timeout=seconds,
            headers=checked_headers(options.headers) or None,
        ))  # fmt: skip
        headers = {escaped(name): escaped(value) for name, value in reply.pairs}
        if "Nats-Service-Error" in headers:
            raise StepFailed("nats.refused", headers["Nats-Service-Error"], details={"headers": headers})
        return {"data": auto(reply.data), "headers": headers}


class KvGet(_Nats[KeyOptions]):
    name = "nats.kv_get"
    summary = "Reads a key of a bucket; `value` is null when it is not there."
    Options = KeyOptions
    result_fields = ("value", "revision", "found")
    example = "call: nats.kv_get\nwith: {connection: bus, bucket: settings, key: theme}"

    async def act(self, client: Client, options: KeyOptions, context: ActionContext) -> object:
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await (await client.jetstream.key_value(options.bucket)).get(checked(options.key, "key"))
        except KeyNotFoundError:
            return {"value": None, "revision": None, "found": False}
        return {"value": auto(entry.value or b""), "revision": entry.revision, "found": True}


class KvPut(_Nats[PutOptions]):
    name = "nats.kv_put"
    summary = "Writes a key of a bucket."
    Options = PutOptions
    result_fields = ("revision",)
    example = "call: nats.kv_put\nwith: {connection: bus, bucket: settings, key: theme, data: dark}"

    async def act(self, client: Client, options: PutOptions, context: ActionContext) -> object:
        bucket = await client.jetstream.key_value(options.bucket)
        key, value = checked(options.key, "key"), raw(options.data)
        if options.revision is None:
            return {"revision": await bucket.put(key, value)}
        if options.revision == 0:
            return {"revision": await bucket.create(key, value)}
        return {"revision": await bucket.update(key, value, last=options.revision)}
