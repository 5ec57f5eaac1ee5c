"""Redis: publish, streams, keys, lists, counters, scripts."""

from __future__ import annotations

from typing import Any, TypeVar

import anyio
import msgspec

from plugins.actions._message import raw, shown
from plugins.connections.redis import Client
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.kit.durations import DurationError, parse_duration

PING = 5.0
"""Seconds in which a server that is there answers."""


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind redis, or its URL."""


class PublishOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    channel: str
    """The channel."""
    data: Any
    """The message: a text as it is, anything else as JSON."""


class StreamAddOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    stream: str
    """The stream."""
    data: dict[str, Any]
    """The fields: texts as they are, anything else as JSON."""
    maxlen: int | None = None
    """The stream keeps about so many."""


class KeyOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key."""
    json: bool = False
    """Whether the value is read as JSON."""


class SetOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key."""
    data: Any
    """The value: a text as it is, anything else as JSON."""
    expire: str | None = None
    """After so long the key goes."""
    only_if: str | None = None
    """absent: only when the key is not there; present: only when it is."""


class DeleteOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str | list[str]
    """The key, or several."""


class PushOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    list: str
    """The list."""
    data: Any
    """The element: a text as it is, anything else as JSON."""
    end: str = "right"
    """right or left."""


class IncrementOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: str
    """The key of a number."""
    by: int = 1
    """How much is added."""


class EvalOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    script: str
    """The Lua script, written out in the flow: no expression may stand in it."""
    keys: list[str] = []
    """KEYS of the script."""
    args: list[Any] = []
    """ARGV of the script: texts as they are, anything else as JSON."""


Given = TypeVar("Given", bound=_Options, contravariant=True)


class _Redis(ActionKind[Given]):
    connection_kinds = ("redis",)
    repeat = "safe"

    async def act(self, client: Client, options: Given) -> object:
        raise NotImplementedError

    async def run(self, options: Given, context: ActionContext) -> object:
        from redis.exceptions import RedisClusterException, RedisError

        async with context.connection(options.connection) as client:
            try:
                return await self.act(client, options)
            except (RedisError, RedisClusterException, OSError, TimeoutError, ValueError) as error:
                raise await _failure(client, error) from None


async def _failure(client: Client, error: Exception) -> StepFailed | NotConnected:
    """What the library raised, as a step sees it. The connection is only lost when the server does not answer others
    either: the client has more users, with sockets of their own."""
    from redis.exceptions import ConnectionError as Lost
    from redis.exceptions import MaxConnectionsError, RedisClusterException, RedisError, ResponseError
    from redis.exceptions import TimeoutError as Slow

    if isinstance(error, ResponseError | RedisClusterException):
        return StepFailed("redis.refused", str(error), retryable=False)
    if isinstance(error, MaxConnectionsError):
        return StepFailed("redis.busy", "all connections to the server are in use")
    if not isinstance(error, Lost | Slow | OSError | TimeoutError):
        return StepFailed("expression", f"redis: {error or type(error).__name__}", retryable=False)
    try:
        with anyio.fail_after(PING):
            await client.ping()
    except (RedisError, OSError, TimeoutError):
        return NotConnected(f"redis: {error or type(error).__name__}")
    return StepFailed("redis.lost", f"the connection broke before the answer came: {error or type(error).__name__}")


class Publish(_Redis[PublishOptions]):
    name = "redis.publish"
    summary = "Publishes to a channel; `receivers` is how many heard it."
    repeat = "keyed"
    Options = PublishOptions
    result_fields = ("receivers",)
    example = "call: redis.publish\nwith: {connection: cache, channel: news, data: {id: 7}}"

    async def act(self, client: Client, options: PublishOptions) -> object:
        return {"receivers": await client.publish(options.channel, raw(options.data))}


class StreamAdd(_Redis[StreamAddOptions]):
    name = "redis.stream_add"
    summary = "Adds an entry to a stream."
    repeat = "keyed"
    Options = StreamAddOptions
    result_fields = ("stream", "id")
    example = "call: redis.stream_add\nwith: {connection: cache, stream: orders, data: {id: 7}}"

    async def act(self, client: Client, options: StreamAddOptions) -> object:
        if not options.data:
            raise StepFailed("expression", "data has at least one field", retryable=False)
        fields = {name: raw(value) for name, value in options.data.items()}
        id = await client.xadd(options.stream, fields, maxlen=options.maxlen)
        return {"stream": options.stream, "id": shown(id)}


class Get(_Redis[KeyOptions]):
    name = "redis.get"
    summary = "Reads a key; `value` is null when it is not there."
    Options = KeyOptions
    result_fields = ("value", "found")
    example = "call: redis.get\nwith: {connection: cache, key: user:7, json: true}"

    async def act(self, client: Client, options: KeyOptions) -> object:
        value = await client.get(options.key)
        if value is not None and options.json:
            try:
                return {"value": msgspec.json.decode(value), "found": True}
            except (msgspec.DecodeError, RecursionError) as error:
                raise StepFailed("redis.content", f"{options.key} is no JSON: {error}", retryable=False) from None
        return {"value": shown(value), "found": value is not None}


class Set(_Redis[SetOptions]):
    name = "redis.set"
    summary = "Writes a key; `set` is false when `only_if` did not hold."
    Options = SetOptions
    result_fields = ("set",)
    example = "call: redis.set\nwith: {connection: cache, key: user:7, data: {name: Ada}, expire: 1h}"

    async def act(self, client: Client, options: SetOptions) -> object:
        if options.only_if not in (None, "absent", "present"):
            raise StepFailed("expression", "only_if is absent or present", retryable=False)
        try:
            seconds = parse_duration(options.expire) if options.expire else None
        except DurationError as error:
            raise StepFailed("expression", f"expire: {error}", retryable=False) from None
        done = await client.set(
            options.key, raw(options.data), px=int(seconds * 1000) if seconds else None,
            nx=options.only_if == "absent", xx=options.only_if == "present",
        )  # fmt: skip
        return {"set": bool(done)}


class Delete(_Redis[DeleteOptions]):
    name = "redis.delete"
    summary = "Deletes keys."
    Options = DeleteOptions
    result_fields = ("deleted",)
    example = "call: redis.delete\nwith: {connection: cache, key: user:7}"

    async def act(self, client: Client, options: DeleteOptions) -> object:
        keys = [options.key] if isinstance(options.key, str) else options.key
        return {"deleted": await client.delete(*keys) if keys else 0}


class Push(_Redis[PushOptions]):
    name = "redis.push"
    summary = "Adds an element to a list; `length` is the list's."
    repeat = "keyed"
    Options = PushOptions
    result_fields = ("length",)
    example = "call: redis.push\nwith: {connection: cache, list: jobs, data: {id: 7}}"

    async def act(self, client: Client, options: PushOptions) -> object:
        if options.end not in ("left", "right"):
            raise StepFailed("expression", "end is left or right", retryable=False)
        push = client.lpush if options.end == "left" else client.rpush
        return {"length": await push(options.list, raw(options.data))}


class Increment(_Redis[IncrementOptions]):
    name = "redis.increment"
    summary = "Adds to a number."
    repeat = "keyed"
    Options = IncrementOptions
    result_fields = ("value",)
    example = "call: redis.increment\nwith: {connection: cache, key: visits}"

    async def act(self, client: Client, options: IncrementOptions) -> object:
        return {"value": await client.incrby(options.key, options.by)}


class Eval(_Redis[EvalOptions]):
    name = "redis.eval"
    summary = "Runs a Lua script of the flow's author on the server."
    repeat = "keyed"
    literal_options = ("script",)
    Options = EvalOptions
    result_fields = ("value",)
    example = (
        "call: redis.eval\nwith:\n  connection: cache\n  script: return redis.call('GET', KEYS[1])\n  keys: [user:7]"
    )

    async def act(self, client: Client, options: EvalOptions) -> object:
        arguments = [raw(one) for one in options.args]
        return {"value": shown(await client.eval(options.script, len(options.keys), *options.keys, *arguments))}
