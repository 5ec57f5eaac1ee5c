"""Redis: streams with consumer groups, lists as reliable queues, pub/sub and keyspace events (at most once)."""

from __future__ import annotations

from reactor.contracts.kinds import TriggerKind
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import DurationError, parse_duration
from triggers.redis.options import MODES, Options


class Redis(TriggerKind[Options]):
    name = "redis"
    summary = "Redis streams and lists (none lost), channels and keyspace events (at most once)."
    connection_kinds = ("redis",)
    takes_messages = True
    example = "redis: {connection: redis://localhost, stream: orders, group: reactor}"
    event_type = "redis.message"
    event_fields = (
        "channel", "channel_bytes", "key", "key_bytes", "event", "stream", "stream_bytes", "id", "data_bytes", "list",
        "number",
    )  # fmt: skip
    identity = True

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
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
    def claim(cls, options: Options) -> str | None:
        if options.mode == "stream":
            return f"the group {options.group} of the redis stream {options.stream} ({options.connection})"
        if options.mode == "list":
            return f"the redis list {options.list} ({options.connection})"
        return None

    async def listen(self, ctx: TriggerContext) -> None:
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
