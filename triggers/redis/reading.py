"""How each mode of the redis trigger listens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio

from reactor.contracts.errors import NotConnected, NotReady, leading
from reactor.contracts.event import Event
from reactor.contracts.text import named, shown
from reactor.contracts.trigger import TriggerContext
from reactor.kit.durations import parse_duration
from triggers.kit.acknowledge import Acknowledger, nothing
from triggers.kit.decode import decode, text
from triggers.kit.kept import Kept
from triggers.kit.letters import base64_of, event_of, gap, texts
from triggers.kit.position import parse_time
from triggers.redis.options import Options

BATCH = 500
BLOCK = 2.0
"""Seconds that a blocking read waits; a stop waits as long at most."""
PING = 5.0
ALIVE = 30
"""Seconds after which a consumer of a list that says nothing is taken for dead."""

TAKE = """
redis.call('SET', KEYS[5], ARGV[3], 'NX')
local found = {redis.call('GET', KEYS[5])}
if ARGV[2] == 'own' then
  for _, one in ipairs(redis.call('HGETALL', KEYS[3])) do found[#found + 1] = one end
  return found
end
for _ = 1, tonumber(ARGV[1]) do
  local value = redis.call('LPOP', KEYS[2]) or redis.call('LPOP', KEYS[1])
  if not value then break end
  local number = redis.call('INCR', KEYS[4])
  redis.call('HSET', KEYS[3], number, value)
  found[#found + 1] = tostring(number)
  found[#found + 1] = value
end
return found
"""
"""KEYS: list, arrivals, own elements, counter, birth. Moves elements into the consumer's hash, each with its number. In
front of them stands the birth: what tells this counter from one that the server has lost."""
ADOPT = """
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local left = redis.call('HGETALL', KEYS[1])
for i = 1, #left, 2 do redis.call('HSET', KEYS[2], left[i], left[i + 1]) end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[4], ARGV[1])
return #left / 2
"""
"""KEYS: a dead consumer's elements, own elements, its sign of life, the set of consumers. Takes its elements over."""


async def consumer_name(ctx: TriggerContext) -> str:
    """A name that is kept over restarts, so that what was delivered to it is its own again."""
    position = await ctx.cursor()
    name = position.get("consumer")
    if name is None:
        name = f"reactor-{secrets.token_hex(6)}"
        await ctx.move({"consumer": name})
    return str(name)


@asynccontextmanager
async def _listening(client: Any) -> AsyncIterator[Any]:
    """A subscriber that really hangs up, also when it is cancelled."""
    listener = client.pubsub()
    try:
        yield listener
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await listener.aclose()


def what_is_read(options: Options) -> str:
    return f"the {options.mode} {getattr(options, options.mode or '', '')}"


async def fault(ctx: TriggerContext, client: Any, options: Options, error: BaseException) -> NotConnected | NotReady:
    """What the library raised. The server's answer to this source is the source's own matter, and a lost socket is not
    yet a lost server."""
    from redis.exceptions import DataError, MaxConnectionsError, RedisError, ResponseError

    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    what = what_is_read(options)
    if isinstance(error, ResponseError | DataError | MaxConnectionsError):
        return NotReady(f"redis: {what}: {error}")
    try:
        with anyio.fail_after(PING):
            await client.ping()
    except (RedisError, OSError, TimeoutError):
        return NotConnected(f"redis: {error or type(error).__name__}")
    if options.mode in ("channel", "pattern", "keyspace"):
        gap(ctx, f"redis: {what}: the server ended the subscription; what it said until the next one is lost")
    return NotReady(f"redis: {what}: the server ended the connection of this source: {error or type(error).__name__}")


async def _messages(ctx: TriggerContext, listener: Any) -> AsyncGenerator[dict[str, bytes], None]:
    """What is published, from when the server has taken the subscription."""
    while True:
        message = await listener.get_message(timeout=BLOCK)
        if message is None:
            continue
        if message["type"] in ("message", "pmessage"):
            yield message
        else:
            await ctx.ready()


async def listen_channel(ctx: TriggerContext, client: Any, options: Options) -> None:
    async with _listening(client) as listener:
        if options.channel is not None:
            await listener.subscribe(options.channel)
        else:
            await listener.psubscribe(options.pattern)
        async with aclosing(_messages(ctx, listener)) as messages:
            async for message in messages:
                await ctx.offer(_channel_event(message, options))


def _channel_event(message: dict[str, bytes], options: Options) -> Event:
    fields = named("channel", message["channel"])
    source = f"redis:{fields['channel']}"

    def make() -> Event:
        data, invalid = decode(message["data"], options.decode)
        return Event(type="redis.message", source=source, data=data, fields=fields, invalid=invalid)

    def letter() -> Event:
        return Event(type="redis.message", source=source, data=base64_of(message["data"]), fields=fields)

    return event_of(make, letter, f"the channel {fields['channel']}")


async def listen_keyspace(ctx: TriggerContext, client: Any, options: Options) -> None:
    if not hasattr(client, "connection_pool"):
        raise NotReady("redis: in a cluster each node tells of its own keys alone; name one server's URL")
    found = await client.config_get("notify-keyspace-events")
    flags = str(found.get("notify-keyspace-events") or found.get(b"notify-keyspace-events", b"").decode())
    if "K" not in flags:
        raise NotReady("the server says nothing of its keys: redis-cli config set notify-keyspace-events KEA")
    database = client.connection_pool.connection_kwargs.get("db", 0)
    async with _listening(client) as listener:
        await listener.psubscribe(f"__keyspace@{database}__:{options.keyspace}")
        async with aclosing(_messages(ctx, listener)) as messages:
            async for message in messages:
                happened = shown(message["data"])
                fields = {**named("key", message["channel"].partition(b"__:")[2]), "event": happened}
                await ctx.offer(Event(type="redis.key", source=f"redis:{fields['key']}", data=happened, fields=fields))


async def listen_stream(ctx: TriggerContext, client: Any, options: Options) -> None:
    name = await consumer_name(ctx)
    kept = await _make_group(ctx, client, options)

    async def acknowledge(ids: list[bytes]) -> None:
        await client.xack(options.stream, options.group, *ids)
        kept.place = max(kept.place, *map(text, ids), key=_order)

    async with kept.to_the_end(), anyio.create_task_group() as group:
        acknowledger = Acknowledger(acknowledge)
        group.start_soon(acknowledger.run)
        group.start_soon(kept.run)
        group.start_soon(_take_over, ctx, client, options, name, acknowledger)
        await ctx.ready()
        place: str = "0"  # first what was delivered to this consumer and not acknowledged
        while True:
            found = await client.xreadgroup(
                options.group,
                name,
                {options.stream: place},
                count=BATCH,
                block=None if place != ">" else int(BLOCK * 1000),
            )
            entries = found[0][1] if found else []
            for id, fields in entries:
                await _offer_entry(ctx, acknowledger, options, id, fields)
            if place != ">":
                place = entries[-1][0] if entries else ">"
            elif found:
                await _lag(ctx, client, options)


async def _make_group(ctx: TriggerContext, client: Any, options: Options) -> Kept[str]:
    """`from` is meant once: a group that the server has no more goes on where this daemon was, and in a stream that was
    made anew at its beginning."""
    from redis.exceptions import ResponseError

    place = (await ctx.cursor()).get("last")
    first = place is None
    try:
        newest = text((await client.xinfo_stream(options.stream))["last-generated-id"])
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        newest = "0-0"
    if place is None:
        moment = parse_time(options.start)
        place = {"latest": newest, "earliest": "0-0"}.get(options.start, f"{int((moment or 0) * 1000)}-0")
    elif _order(place) > _order(newest):
        place = "0-0"
    try:
        await client.xgroup_create(options.stream, options.group, id=place, mkstream=True)
        if not first:
            what = f"the stream {options.stream}, or its group {options.group}, was deleted"
            gap(ctx, f"redis: {what}; reading goes on where this daemon was, and what was deleted unread is lost")
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
        for group in await client.xinfo_groups(options.stream) if first else ():
            if text(group["name"]) == options.group:
                place = text(group["last-delivered-id"])
    if first:
        await ctx.move({"last": place})
    return Kept(ctx, place)


def _order(id: str) -> tuple[int, int]:
    moment, _, number = id.partition("-")
    return int(moment), int(number or 0)


async def _offer_entry(
    ctx: TriggerContext,
    acknowledger: Acknowledger[bytes],
    options: Options,
    id: bytes,
    fields: dict[bytes, bytes] | None,
    times: int = 1,
) -> None:
    key = id.decode()
    if not fields and times <= options.deliveries:
        await acknowledger.add(nothing(), id)  # deleted from the stream meanwhile
        return
    where = {**named("stream", options.stream or ""), "id": key}
    source = f"redis:{options.stream}"

    def make() -> Event:
        invalid = f"delivered {times} times without an end" if times > options.deliveries else None
        data, odd = texts(fields or {})
        own = {**where, "data_bytes": odd} if odd else where
        return Event(type="redis.message", source=source, data=data, key=key, fields=own, invalid=invalid)

    def letter() -> Event:
        return Event(type="redis.message", source=source, key=key, fields=where)

    event = event_of(make, letter, f"the stream {options.stream}, entry {key}")
    await acknowledger.add(await ctx.offer(event), id)


async def _take_over(
    ctx: TriggerContext, client: Any, options: Options, name: str, acknowledger: Acknowledger[bytes]
) -> None:
    """What consumers left that are gone."""
    idle = parse_duration(options.claim_after)
    while True:
        await ctx.clock.sleep(idle / 2)
        place: str | bytes = "0-0"
        while True:
            place, entries, _ = await client.xautoclaim(
                options.stream, options.group, name, min_idle_time=int(idle * 1000), start_id=place, count=100
            )
            if entries:
                pending = await client.xpending_range(
                    options.stream, options.group, min=entries[0][0], max=entries[-1][0], count=len(entries) * 2,
                    consumername=name,
                )  # fmt: skip
                times = {one["message_id"]: one["times_delivered"] for one in pending}
                for id, fields in entries:
                    await _offer_entry(ctx, acknowledger, options, id, fields, times.get(id, 1))
            if place in (b"0-0", "0-0"):
                break


async def _lag(ctx: TriggerContext, client: Any, options: Options) -> None:
    for group in await client.xinfo_groups(options.stream):
        if text(group["name"]) == options.group:
            ctx.lag(group.get("lag"))


def _element(options: Options, birth: str, number: int, value: bytes) -> Event:
    # a server that loses its last second counts on from before: the same number, but another element
    key = f"{birth}/{number}/{hashlib.blake2b(value, digest_size=8).hexdigest()}"
    source, fields = f"redis:{options.list}", {"list": options.list, "number": number}

    def make() -> Event:
        data, invalid = decode(value, options.decode)
        return Event(type="redis.message", source=source, data=data, key=key, fields=fields, invalid=invalid)

    def letter() -> Event:
        return Event(type="redis.message", source=source, data=base64_of(value), key=key, fields=fields)

    return event_of(make, letter, f"the list {options.list}, element {number}")


async def listen_list(ctx: TriggerContext, client: Any, options: Options) -> None:
    from redis.exceptions import ResponseError

    name = await consumer_name(ctx)
    source = options.list or ""
    tag = source if "{" in source else f"{{{source}}}"
    arrivals, counter, consumers = f"{tag}:reactor:in", f"{tag}:reactor:number", f"{tag}:reactor:consumers"
    own, alive = f"{tag}:reactor:of:{name}", f"{tag}:reactor:alive:{name}"
    keys = [source, arrivals, own, counter, f"{tag}:reactor:birth"]
    take, adopt = client.register_script(TAKE), client.register_script(ADOPT)

    async def acknowledge(numbers: list[bytes]) -> None:
        await client.hdel(own, *numbers)

    async def elements(which: str) -> tuple[str, list[bytes]]:
        birth, *found = await take(keys=keys, args=[BATCH, which, secrets.token_hex(8)])
        return text(birth), found

    async def offer(birth: str, found: list[bytes], acknowledger: Acknowledger[bytes]) -> None:
        for number, value in zip(found[::2], found[1::2], strict=True):
            event = _element(options, birth, int(number), value)
            await acknowledger.add(await ctx.offer(event), number)

    async def live() -> None:
        while True:
            await client.set(alive, "1", ex=ALIVE)
            for other in [text(member) for member in await client.smembers(consumers)]:
                if other != name:
                    left = [f"{tag}:reactor:of:{other}", own, f"{tag}:reactor:alive:{other}", consumers]
                    if await adopt(keys=left, args=[other]):
                        adopted.set()
            await ctx.clock.sleep(ALIVE / 3)

    adopted = anyio.Event()
    await client.set(alive, "1", ex=ALIVE)
    await client.sadd(consumers, name)
    async with anyio.create_task_group() as group:
        acknowledger = Acknowledger(acknowledge)
        group.start_soon(acknowledger.run)
        group.start_soon(live)
        await ctx.ready()
        await offer(*await elements("own"), acknowledger)
        while True:
            if adopted.is_set():
                adopted = anyio.Event()
                await acknowledger.quiet()
                await offer(*await elements("own"), acknowledger)
            try:
                birth, found = await elements("new")
                if not found:
                    ctx.lag(0)
                    await client.blmove(source, arrivals, BLOCK, "LEFT", "RIGHT")
            except ResponseError as error:
                if "WRONGTYPE" in str(error):
                    gap(ctx, f"redis: the list {options.list} was deleted, and something else has its key now")
                raise
            await offer(birth, found, acknowledger)
            if len(found) == 2 * BATCH:
                ctx.lag(await client.llen(source))
