"""Redis: streams with consumer groups, lists as reliable queues, pub/sub and keyspace events (at most once)."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from reactor.kit.durations import DurationError, parse_duration
from triggers.kit.decode import Decode
from triggers.kit.shared import Kind

MODES = ("channel", "pattern", "stream", "list", "keyspace")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind redis, or its URL."""
    channel: str | None = None
    """Listens to a channel (at most once: what is published while nobody listens is lost),"""
    pattern: str | None = None
    """or to the channels of a pattern,"""
    stream: str | None = None
    """or reads a stream in a consumer group,"""
    list: str | None = None
    """or takes the elements of a list, from its left end,"""
    keyspace: str | None = None
    """or hears what happens to the keys of a pattern (at most once; the server must have notify-keyspace-events)."""
    group: str = "reactor"
    """The stream's consumer group; daemons of one group share the work."""
    start: str = msgspec.field(name="from", default="latest")
    """Where a new group begins: latest, earliest or an RFC 3339 time. Meant once."""
    decode: Decode = "auto"
    """auto, json, text or bytes; a stream's fields are texts."""
    deliveries: int = 10
    """A stream's message that was delivered more often is kept as a dead letter."""
    claim_after: str = "1m"
    """A message that another consumer of the group left unacknowledged for so long is taken over."""

    @property
    def mode(self) -> str | None:
        given = [name for name in MODES if getattr(self, name)]
        return given[0] if len(given) == 1 else None


class Redis(Kind):
    name = "redis"
    summary = "Redis streams and lists (none lost), channels and keyspace events (at most once)."
    Options = Options
    connection_kinds: ClassVar[tuple[str, ...]] = ("redis",)
    example = "redis: {connection: redis://localhost, stream: orders, group: reactor}"
    event_type = "redis.message"
    identity = True

    @classmethod
    def problems(cls, options: Any) -> list[tuple[str, str]]:
        found = []
        if options.mode is None:
            found.append(("stream", f"exactly one of {', '.join(MODES)} is given"))
        if options.deliveries < 1:
            found.append(("deliveries", "at least 1"))
        try:
            if parse_duration(options.claim_after) < 1:
                found.append(("claim_after", "at least 1s"))
        except DurationError as error:
            found.append(("claim_after", str(error)))
        from triggers.kit.position import position_problem

        message = position_problem(options.start)
        if message:
            found.append(("from", message))
        return found

    @classmethod
    def claim(cls, options: Any) -> str | None:
        if options.mode == "stream":
            return f"the group {options.group} of the redis stream {options.stream} ({options.connection})"
        if options.mode == "list":
            return f"the redis list {options.list} ({options.connection})"
        return None

    async def listen(self, ctx: Any) -> None:
        from redis.exceptions import RedisError

        from triggers.redis import reading as _redis

        options = self.options
        async with ctx.connection(options.connection) as client:
            try:
                if options.mode == "stream":
                    await _redis.listen_stream(ctx, client, options)
                elif options.mode == "list":
                    await _redis.listen_list(ctx, client, options)
                elif options.mode == "keyspace":
                    await _redis.listen_keyspace(ctx, client, options)
                else:
                    await _redis.listen_channel(ctx, client, options)
            except* (RedisError, OSError, TimeoutError) as errors:
                raise await _redis.fault(ctx, client, options, errors) from None
