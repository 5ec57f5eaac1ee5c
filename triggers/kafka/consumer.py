"""How the kafka trigger consumes: order within a partition, commits after durability, rebalance without loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError

from reactor.contracts.errors import NotConnected, NotReady, leading
from reactor.contracts.event import Event, rfc3339
from reactor.contracts.trigger import TriggerContext
from triggers.kafka.options import Options
from triggers.kafka.records import Undecodable, tolerate
from triggers.kit.acknowledge import Acknowledger
from triggers.kit.decode import decode
from triggers.kit.kept import EVERY
from triggers.kit.letters import base64_of, event_of, gap, headers_of, plain
from triggers.kit.position import parse_time

POLL = 1.0
"""Seconds that a poll waits for messages."""
RELEASE = 20.0
"""Seconds that a partition which is taken away waits for what is in flight."""
SIGN_OF_LIFE = 60.0
"""Seconds after which a reader that waits for the store polls with everything paused, to stay in its group."""
METADATA = 5_000
"""Milliseconds after which the consumer asks again which topics and partitions there are."""
PATIENCE = 5.0
"""Seconds in which a topic that does not exist may be made by the broker, before it is reported."""
MOVED = (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)


class Member(ConsumerRebalanceListener):  # type: ignore[misc]
    """This daemon in its group: which partitions are its own, and what happens when they come and go."""

    def __init__(self, consumer: AIOKafkaConsumer, options: Options, places: Places) -> None:
        self.consumer = consumer
        self.places = places
        self.options = options
        self.owned: set[TopicPartition] = set()
        self.turn = 0
        """Counts how often partitions were taken away: what was read before may have been another member's since."""
        self.read: dict[TopicPartition, int] = {}
        self.polled = 0.0
        self.failed: Exception | None = None
        self.acknowledger = Acknowledger(self.commit, 2 * options.batch)
        self.assigned = anyio.Event()

    async def commit(self, messages: list[ConsumerRecord]) -> None:
        offsets: dict[TopicPartition, int] = {}
        for message in messages:
            offsets[TopicPartition(message.topic, message.partition)] = message.offset + 1
        try:
            await self.consumer.commit(offsets)
        except MOVED:
            if any(partition in self.owned for partition in offsets):
                raise
            return
        self.places.passed(offsets)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """No more of these is offered; what was offered is awaited and committed before another member begins."""
        self.owned -= set(revoked)
        self.turn += 1
        with anyio.move_on_after(RELEASE):
            await self.acknowledger.quiet()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What goes wrong here is swallowed by the library: the reader must hear of it, or it would read on without
        any partition of its own."""
        try:
            await self._take(set(assigned))
        except Exception as error:
            self.failed = error
        self.assigned.set()

    async def _take(self, partitions: set[TopicPartition]) -> None:
        await self._begin({partition.topic for partition in partitions})
        for partition in partitions:
            committed = await self.consumer.committed(partition)
            if committed is not None:
                self.consumer.seek(partition, committed)
            self.owned.add(partition)  # no turn of the loop between the two: what is read from here on counts
        self.read = {partition: offset for partition, offset in self.read.items() if partition in partitions}

    async def _begin(self, topics: set[str]) -> None:
        """`from` is meant once: a group's start is committed for every partition of a topic before the first message.
        A partition that is added later begins at its beginning. One that the group has no more (its topic was deleted,
        or the group) goes on where this daemon was, and in a topic that was made anew at its beginning."""
        for topic in topics:
            numbers = self.consumer.partitions_for_topic(topic) or set()
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            known = {partition: await self.consumer.committed(partition) for partition in partitions}
            fresh = [partition for partition, offset in known.items() if offset is None]
            if not fresh:
                continue
            begun = len(fresh) < len(partitions) or self.places.knows(topic)
            places = await self._start(fresh, "earliest" if begun else self.options.start)
            ends = await self.consumer.end_offsets(fresh)
            for partition in fresh:
                place = self.places.of(partition)
                if place is not None and places[partition] <= place <= ends[partition]:
                    places[partition] = place
            await self.consumer.commit(places)
            self.places.passed(places)

    async def _start(self, partitions: list[TopicPartition], start: str) -> dict[TopicPartition, int]:
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(partitions)
        if start == "latest":
            return ends
        moment = parse_time(start)
        if moment is None:
            begins: dict[TopicPartition, int] = await self.consumer.beginning_offsets(partitions)
            return begins
        found = await self.consumer.offsets_for_times(dict.fromkeys(partitions, int(moment * 1000)))
        return {p: found[p].offset if found.get(p) is not None else ends[p] for p in partitions}

    def lag(self) -> float:
        """Messages behind, as far as the last answers of the brokers say."""
        total = 0
        for partition, offset in self.read.items():
            high = self.consumer.highwater(partition) if partition in self.owned else None
            total += max((high or 0) - offset - 1, 0) if high is not None else 0
        return total


class Places:
    """Where this daemon was in each partition, kept here too: for the day on which the group's offsets are gone."""

    def __init__(self, ctx: TriggerContext, items: dict[str, int]) -> None:
        self._ctx = ctx
        self._items = items
        self._news: dict[str, int] = {}

    def passed(self, offsets: dict[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            self._set(f"{partition.topic}/{partition.partition}", offset)
            if not self.knows(partition.topic):
                self._set(partition.topic, 1)

    def _set(self, item: str, value: int) -> None:
        if self._items.get(item) != value:
            self._items[item] = self._news[item] = value

    def knows(self, topic: str) -> bool:
        return topic in self._items

    def of(self, partition: TopicPartition) -> int | None:
        found: int | None = self._items.get(f"{partition.topic}/{partition.partition}")
        return found

    def deleted(self, topic: str) -> None:
        """The next topic of that name is another one: it is read from its beginning."""
        for item in [item for item in self._items if item.rpartition("/")[0] == topic]:
            self._set(item, 0)

    async def run(self) -> None:
        while True:
            await self._ctx.clock.sleep(EVERY)
            await self.write()

    async def write(self) -> None:
        if self._news:
            news, self._news = self._news, {}
            await self._ctx.move(news)


def fault(options: Options, error: BaseException) -> NotConnected | NotReady:
    """What the library raised, in words: whether the brokers cannot be reached, or what they say to this source."""
    from aiokafka.errors import (
        KafkaConnectionError,
        NodeNotReadyError,
        RequestTimedOutError,
        UnknownTopicOrPartitionError,
    )  # fmt: skip

    error = leading(error)
    if isinstance(error, NotConnected | NotReady):
        return error
    what = f"the topic {options.pattern or ', '.join(options.topics)} (group {options.group})"
    if isinstance(error, KafkaConnectionError | NodeNotReadyError | RequestTimedOutError | OSError | TimeoutError):
        return NotConnected(f"kafka: {what}: {error or type(error).__name__}")
    if isinstance(error, UnknownTopicOrPartitionError):
        return NotReady(f"kafka: {what} does not exist")
    return NotReady(f"kafka: {what}: {error or type(error).__name__}")


async def listen(ctx: TriggerContext, settings: dict[str, object], options: Options) -> None:
    tolerate()
    consumer = AIOKafkaConsumer(
        **{**settings, "metadata_max_age_ms": METADATA}, group_id=options.group, enable_auto_commit=False,
        auto_offset_reset="earliest", partition_assignment_strategy=[StickyPartitionAssignor],
        max_poll_records=options.batch, isolation_level="read_committed", session_timeout_ms=10_000,
        heartbeat_interval_ms=3_000, rebalance_timeout_ms=60_000, max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    places = Places(ctx, await ctx.cursor())
    member = Member(consumer, options, places)
    consumer.subscribe(topics=options.topics or (), pattern=options.pattern, listener=member)
    await consumer.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(member.acknowledger.run)
            group.start_soon(places.run)
            group.start_soon(_stay, ctx, member)
            await _read(ctx, member, options)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(10):
            await places.write()
            await consumer.stop()


async def _read(ctx: TriggerContext, member: Member, options: Options) -> None:
    ready = False
    missing = Missing(ctx, member, options)
    while True:
        member.polled = ctx.clock.monotonic()
        found = await member.consumer.getmany(timeout_ms=int(POLL * 1000), max_records=options.batch)
        if member.failed is not None:
            raise member.failed
        missing.look(ready)
        if not ready and member.assigned.is_set() and not missing.all:
            ready = True
            await ctx.ready()
        turn = member.turn
        for partition, messages in found.items():
            for message in messages:
                if member.turn != turn or partition not in member.owned:
                    break
                receipt = await ctx.offer(_event(message, options))
                await member.acknowledger.add(receipt, message)
                member.read[partition] = message.offset
        ctx.lag(member.lag())


class Missing:
    """Topics that do not exist, or that somebody deleted: the library would wait for them without a word."""

    def __init__(self, ctx: TriggerContext, member: Member, options: Options) -> None:
        self._ctx, self._member, self._options = ctx, member, options
        self._topics: set[str] = set()
        self._since: float | None = None
        self.all = False

    def look(self, ready: bool) -> None:
        """Raises NotReady when there is nothing to read."""
        names = self._options.topics
        topics = {topic for topic in names if not self._member.consumer.partitions_for_topic(topic)}
        now = self._ctx.clock.monotonic()
        if topics and self._since is None:
            self._since = now
        elif not topics:
            self._since = None
        self.all = bool(names) and len(topics) == len(set(names))
        patient = self._since is not None and now - self._since < PATIENCE
        for topic in topics - self._topics if ready else ():
            self._member.places.deleted(topic)
            text = f"kafka: the topic {topic} was deleted; what was in it and was not read is lost"
            gap(self._ctx, f"{text}, and one that is made anew is read from its beginning")
        self._topics = topics
        if self.all and (ready or not patient):
            raise NotReady(f"kafka: the topic {', '.join(sorted(topics))} does not exist")


async def _stay(ctx: TriggerContext, member: Member) -> None:
    """A reader that is held up by a full store polls with all partitions paused: its group must not give them away."""
    while True:
        await ctx.clock.sleep(SIGN_OF_LIFE / 2)
        if ctx.clock.monotonic() - member.polled > SIGN_OF_LIFE:
            paused = list(member.consumer.assignment())
            member.consumer.pause(*paused)
            for partition, messages in (await member.consumer.getmany(timeout_ms=0)).items():
                member.consumer.seek(partition, messages[0].offset)  # one that came meanwhile
            member.consumer.resume(*[one for one in paused if one in member.consumer.assignment()])


def _event(message: ConsumerRecord, options: Options) -> Event:
    source = f"kafka:{message.topic}"
    key = f"{message.partition}/{message.offset}/{message.timestamp}"
    where = {"topic": message.topic, "partition": message.partition, "offset": message.offset}

    def make() -> Event:
        if isinstance(message.value, Undecodable):
            raise ValueError(message.value.reason)
        data, invalid = (None, None) if message.value is None else decode(message.value, options.decode)
        headers = headers_of(message.headers)
        trace = headers["headers"].get("traceparent")
        return Event(
            type="kafka.message",
            source=source,
            data=data,
            key=key,
            extensions={} if trace is None else {"traceparent": trace},
            fields={
                **_key(message.key),
                **headers,
                **where,
                "timestamp": rfc3339(message.timestamp / 1000),
            },
            invalid=invalid,
        )

    def letter() -> Event:
        return Event(type="kafka.message", source=source, data=base64_of(message.value or b""), key=key, fields=where)

    return event_of(make, letter, f"the topic {message.topic}, partition {message.partition}, offset {message.offset}")


def _key(key: bytes | None) -> dict[str, Any]:
    """A key that is not UTF-8 is base64, as it always was: keys are often numbers."""
    if key is None or plain(key):
        return {"key": None if key is None else key.decode()}
    return {"key": base64_of(key), "key_bytes": base64_of(key)}
