"""How the kafka trigger consumes: order within a partition, commits after durability, rebalance without loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError

from reactor.contracts.event import Event, rfc3339
from triggers._acknowledge import Acknowledger
from triggers._decode import decode, text
from triggers._position import parse_time

POLL = 1.0
"""Seconds that a poll waits for messages."""
RELEASE = 20.0
"""Seconds that a partition which is taken away waits for what is in flight."""
SIGN_OF_LIFE = 60.0
"""Seconds after which a reader that waits for the store polls with everything paused, to stay in its group."""
MOVED = (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)


class Member(ConsumerRebalanceListener):  # type: ignore[misc]
    """This daemon in its group: which partitions are its own, and what happens when they come and go."""

    def __init__(self, consumer: Any, options: Any) -> None:
        self.consumer = consumer
        self.options = options
        self.owned: set[Any] = set()
        self.turn = 0
        """Counts how often partitions were taken away: what was read before may have been another member's since."""
        self.read: dict[Any, int] = {}
        self.polled = 0.0
        self.failed: Exception | None = None
        self.acknowledger = Acknowledger(self.commit, 2 * options.batch)
        self.assigned = anyio.Event()

    async def commit(self, messages: list[Any]) -> None:
        offsets: dict[Any, int] = {}
        for message in messages:
            offsets[TopicPartition(message.topic, message.partition)] = message.offset + 1
        try:
            await self.consumer.commit(offsets)
        except MOVED:
            if any(partition in self.owned for partition in offsets):
                raise

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """No more of these is offered; what was offered is awaited and committed before another member begins."""
        self.owned -= set(revoked)
        self.turn += 1
        with anyio.move_on_after(RELEASE):
            await self.acknowledger.quiet()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """What goes wrong here is swallowed by the library: the reader must hear of it, or it would read on without
        any partition of its own."""
        try:
            await self._take(set(assigned))
        except Exception as error:
            self.failed = error
        self.assigned.set()

    async def _take(self, partitions: set[Any]) -> None:
        await self._begin({partition.topic for partition in partitions})
        for partition in partitions:
            committed = await self.consumer.committed(partition)
            if committed is not None:
                self.consumer.seek(partition, committed)
            self.owned.add(partition)  # no turn of the loop between the two: what is read from here on counts
        self.read = {partition: offset for partition, offset in self.read.items() if partition in partitions}

    async def _begin(self, topics: set[str]) -> None:
        """`from` is meant once: a group's start is committed for every partition of a topic before the first message.
        A partition that is added later begins at its beginning."""
        for topic in topics:
            numbers = self.consumer.partitions_for_topic(topic) or set()
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            known = {partition: await self.consumer.committed(partition) for partition in partitions}
            fresh = [partition for partition, offset in known.items() if offset is None]
            if not fresh:
                continue
            begun = len(fresh) < len(partitions)
            await self.consumer.commit(await self._start(fresh, "earliest" if begun else self.options.start))

    async def _start(self, partitions: list[Any], start: str) -> dict[Any, int]:
        ends: dict[Any, int] = await self.consumer.end_offsets(partitions)
        if start == "latest":
            return ends
        moment = parse_time(start)
        if moment is None:
            begins: dict[Any, int] = await self.consumer.beginning_offsets(partitions)
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


async def listen(ctx: Any, client: Any, options: Any) -> None:
    consumer = AIOKafkaConsumer(
        **client.settings, group_id=options.group, enable_auto_commit=False, auto_offset_reset="earliest",
        partition_assignment_strategy=[StickyPartitionAssignor], max_poll_records=options.batch,
        isolation_level="read_committed", session_timeout_ms=10_000, heartbeat_interval_ms=3_000,
        rebalance_timeout_ms=60_000, max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    member = Member(consumer, options)
    consumer.subscribe(topics=options.topics or (), pattern=options.pattern, listener=member)
    await consumer.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(member.acknowledger.run)
            group.start_soon(_stay, ctx, member)
            await _read(ctx, member, options)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(10):
            await consumer.stop()


async def _read(ctx: Any, member: Member, options: Any) -> None:
    ready = False
    while True:
        member.polled = ctx.clock.monotonic()
        found = await member.consumer.getmany(timeout_ms=int(POLL * 1000), max_records=options.batch)
        if member.failed is not None:
            raise member.failed
        if not ready and member.assigned.is_set():
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


async def _stay(ctx: Any, member: Member) -> None:
    """A reader that is held up by a full store polls with all partitions paused: its group must not give them away."""
    while True:
        await ctx.clock.sleep(SIGN_OF_LIFE / 2)
        if ctx.clock.monotonic() - member.polled > SIGN_OF_LIFE:
            paused = list(member.consumer.assignment())
            member.consumer.pause(*paused)
            for partition, messages in (await member.consumer.getmany(timeout_ms=0)).items():
                member.consumer.seek(partition, messages[0].offset)  # one that came meanwhile
            member.consumer.resume(*[one for one in paused if one in member.consumer.assignment()])


def _event(message: Any, options: Any) -> Event:
    data, invalid = (None, None) if message.value is None else decode(message.value, options.decode)
    headers = {name: text(value) if value is not None else None for name, value in message.headers}
    trace = headers.get("traceparent")
    return Event(
        type="kafka.message",
        source=f"kafka:{message.topic}",
        data=data,
        key=f"{message.partition}/{message.offset}/{message.timestamp}",
        extensions={} if trace is None else {"traceparent": trace},
        fields={
            "key": None if message.key is None else text(message.key),
            "headers": headers,
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp": rfc3339(message.timestamp / 1000),
        },
        invalid=invalid,
    )
