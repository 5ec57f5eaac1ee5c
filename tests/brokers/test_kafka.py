"""The kafka trigger, action and connection against a real broker."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import OffsetAndMetadata

from plugins.actions import kafka as actions
from plugins.connections.kafka import Kafka as Kind
from plugins.connections.kafka import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.testing import trigger_suite
from tests.brokers.harness import (
    SINK,
    Lent,
    down_and_back,
    each,
    numbers,
    recorder,
    settle,
    share,
    stands_alone,
    survive,
    wait_runs,
)  # fmt: skip
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Kafka as Server
from tests.waiting import soon
from triggers.kafka.consumer import Member
from triggers.kafka.kind import Kafka
from triggers.kafka.options import Options

pytestmark = pytest.mark.anyio


def address(server: Server) -> str:
    return f"{server.host}:{server.port}"


def using(server: Server, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=address(server))
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()

    return asyncio.run(main())


def make_topic(server: Server, name: str, partitions: int = 4) -> None:
    using(server, lambda admin: admin.create_topics([NewTopic(name, partitions, 1)]))


def send(server: Server, topic: str, messages: Sequence[tuple[bytes | None, bytes | None]]) -> None:
    async def main() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address(server), linger_ms=5, acks="all") as producer:
            futures = [await producer.send(topic, value, key=key) for key, value in messages]
            await asyncio.gather(*futures)

    asyncio.run(main())


def publisher(server: Server, topic: str) -> Callable[[Sequence[int]], None]:
    def publish(part: Sequence[int]) -> None:
        send(server, topic, [(str(n % 16).encode(), json.dumps({"n": n}).encode()) for n in part])

    return publish


def behind(server: Server, group: str, topic: str) -> int:
    """Messages that are not committed."""

    async def main() -> int:
        async with AIOKafkaConsumer(
            bootstrap_servers=address(server), group_id=group, enable_auto_commit=False
        ) as consumer:
            partitions = [
                TopicPartition(topic, n)
                for n in consumer.partitions_for_topic(topic) or await _partitions(consumer, topic)
            ]
            ends = await consumer.end_offsets(partitions)
            return sum([end - (await consumer.committed(p) or 0) for p, end in ends.items()])

    return asyncio.run(main())


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client.add_topic(topic)
    return set(consumer.partitions_for_topic(topic) or ())


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", **given}, Kafka.Options)


@pytest.mark.parametrize("given", [{"topic": "ready"}, {"pattern": "^rea.*"}])
async def test_it_becomes_ready_and_stops(kafka_server: Server, given: dict[str, str]) -> None:
    if given.get("topic"):
        await anyio.to_thread.run_sync(make_topic, kafka_server, "ready")
    made = recorder(Kind, {"servers": address(kafka_server)})
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(Kafka(options(**given)).listen, made)
            await made.is_ready.wait()
            group.cancel_scope.cancel()


def test_a_topic_through_kills_and_restarts(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "flood")
    trigger = f"kafka: {{connection: '{kafka_server.url}', topic: flood, group: g, from: earliest}}"
    publish = publisher(kafka_server, "flood")
    survive(
        Daemon(tmp_path), kafka_server, publish, trigger, acknowledged=lambda: behind(kafka_server, "g", "flood") == 0
    )


def test_two_daemons_share_a_group_and_a_rebalance_doubles_nothing(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "shared")
    folders = [tmp_path / str(n) for n in range(2)]
    for folder in folders:
        folder.mkdir()
    trigger = f"kafka: {{connection: '{kafka_server.url}', topic: shared, group: two, from: earliest}}"
    share(Daemon(folders[0]), Daemon(folders[1]), publisher(kafka_server, "shared"), trigger, 5000)


def test_a_member_that_joins_in_the_middle_doubles_nothing(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "joined")
    publish = publisher(kafka_server, "joined")
    publish(range(8000))
    daemons = []
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        daemons.append(Daemon(tmp_path / str(n)))
        daemons[n].flow("sink.yaml", f"flow: sink\nwhen: [{{kafka: {{connection: '{kafka_server.url}', topic: joined, group: j, from: earliest}}}}]\n"
            "do: []\noutput: ${{ event.data.n }}\n")  # fmt: skip
    with daemons[0], daemons[1]:
        publish(range(8000, 10_000))
        eventually(lambda: len(numbers(daemons[0]) + numbers(daemons[1])) == 10_000, 60, "not all came")
        both = numbers(daemons[0]) + numbers(daemons[1])
        assert max(both.values()) == 1, [n for n, times in both.items() if times > 1][:10]


def test_two_groups_of_a_topic_get_each_message(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "each")
    trigger = "kafka: {{connection: '{url}', topic: each, group: {one}, from: earliest}}"
    triggers = [trigger.format(url=kafka_server.url, one=one) for one in ("one", "two")]
    each(Daemon(tmp_path), publisher(kafka_server, "each"), triggers)


def test_down_at_the_start_delays_only_its_own(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "late")
    trigger = f"kafka: {{connection: '{kafka_server.url}', topic: late}}"
    down_and_back(Daemon(tmp_path), kafka_server, publisher(kafka_server, "late"), trigger)


def test_from_is_meant_once_and_new_partitions_begin_at_their_beginning(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "once", 1)
    publish = publisher(kafka_server, "once")
    publish(range(5))
    moment = datetime.datetime.now(datetime.UTC).isoformat()
    publish(range(5, 7))
    daemon = Daemon(tmp_path)
    sink = "flow: sink\nwhen: [{kafka: {connection: '%s', topic: once, group: %s, from: '%s'}}]\ndo: []\noutput: ${{ event.data.n }}\n"
    daemon.flow("sink.yaml", sink % (kafka_server.url, "late", "latest"))
    with daemon:
        settle(daemon)
        publish(range(7, 9))
        eventually(lambda: set(numbers(daemon)) == {7, 8}, 20, "not the new ones")
        daemon.kill()
        publish(range(9, 11))
        using(kafka_server, lambda admin: admin.create_partitions({"once": NewPartitions(3)}))
        publish(range(11, 41))
        daemon.start()
        eventually(lambda: set(numbers(daemon)) == set(range(7, 41)), 60, f"{sorted(numbers(daemon))}")
        daemon.flow("sink.yaml", sink % (kafka_server.url, "timed", moment))
        eventually(lambda: {5, 6} <= set(numbers(daemon)), 30, "not from the time on")
        assert not {0, 1, 2, 3, 4} & set(numbers(daemon))


async def test_what_was_read_before_a_rebalance_is_not_taken_after_it(
    kafka_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store had no room, the partition was another member's, which took the messages: they are its own."""
    await anyio.to_thread.run_sync(make_topic, kafka_server, "stale", 1)
    await anyio.to_thread.run_sync(send, kafka_server, "stale", [(None, b"%d" % n) for n in range(10)])
    room, full, assigned = anyio.Event(), anyio.Event(), 0
    made = recorder(Kind, {"servers": address(kafka_server)})
    plain_offer, plain_assigned = made.offer, Member.on_partitions_assigned

    async def offer(event: Any, cursors: Any = ()) -> Any:
        full.set()
        await room.wait()
        return await plain_offer(event, cursors)

    async def on_partitions_assigned(self: Member, partitions: Any) -> None:
        nonlocal assigned
        await plain_assigned(self, partitions)
        assigned += 1

    monkeypatch.setattr(made, "offer", offer)
    monkeypatch.setattr(Member, "on_partitions_assigned", on_partitions_assigned)
    options = {"connection": "x", "topic": "stale", "group": "stale", "from": "earliest"}
    async with anyio.create_task_group() as group:
        group.start_soon(Kafka(msgspec.convert(options, Options)).listen, made)
        with anyio.fail_after(60):
            await full.wait()
            other = AIOKafkaConsumer(
                "stale", bootstrap_servers=address(kafka_server), group_id="stale", enable_auto_commit=False,
                partition_assignment_strategy=[StickyPartitionAssignor],
            )  # fmt: skip
            await other.start()
            await soon(lambda: assigned >= 2, "the second member was not given its part", 60)
            # as if it had had the partition meanwhile: past the library's own check, the broker takes it of a member
            offsets = {TopicPartition("stale", 0): OffsetAndMetadata(10, "")}
            await other._coordinator.commit_offsets(other._subscription.subscription.assignment, offsets)
            await other.stop()
            await soon(lambda: assigned >= 3, "the group did not share anew", 60)
            room.set()
            await anyio.to_thread.run_sync(send, kafka_server, "stale", [(None, b"10"), (None, b"11")])
            await soon(lambda: made.events and made.events[-1].data == 11, "the last message did not come", 60)
        group.cancel_scope.cancel()
    assert [event.data for event in made.events] == [0, 10, 11], "the one that was on its way, and the new ones"


def test_order_fields_and_dead_letters(kafka_server: Server, tmp_path: Path) -> None:
    make_topic(kafka_server, "letters", 1)
    daemon = Daemon(tmp_path)
    daemon.flow("connections/bus.yaml", f"kind: kafka\nsettings: {{servers: '{address(kafka_server)}'}}\n")
    daemon.flow("sink.yaml", "flow: sink\nwhen: [{kafka: {connection: bus, topic: [letters], decode: json, from: earliest}}]\ndo: []\n"
        "output: ['${{ event.data }}', '${{ event.key }}', '${{ event.topic }}', '${{ event.partition }}', '${{ event.offset }}', '${{ event.headers }}']\n")  # fmt: skip
    send(kafka_server, "letters", [(b"k", b'{"n": 0}'), (b"k", b"{broken"), (b"t", None), (b"\xff", b'{"n": 3}')])
    with daemon:
        runs = [run["output"] for run in wait_runs(daemon, "sink", 3)][::-1]
        assert runs == [
            [{"n": 0}, "k", "letters", 0, 0, {}],
            [None, "t", "letters", 0, 2, {}],
            [{"n": 3}, "/w==", "letters", 0, 3, {}],
        ]
        (letter,) = daemon.get("/api/v1/dead-letters")["items"]
        assert "not valid JSON" in letter["invalid"]
        assert 'reactor_source_lag{kind="kafka"' in daemon.request("GET", "/metrics").raw.decode()
    assert behind(kafka_server, "reactor", "letters") == 0, "a poisoned message does not stop the partition"


async def test_publish(kafka_server: Server, tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(make_topic, kafka_server, "out", 2)
    here = context(tmp_path)
    here.connection = Lent(Kind, {"servers": address(kafka_server)}).lend

    async def act(**given: Any) -> Any:
        return await call(actions.Publish, here, connection="x", **given)

    made = await act(topic="out", key="a", data={"x": 1}, headers={"h": "v"}, partition=1)
    assert (made["topic"], made["partition"], made["offset"]) == ("out", 1, 0)
    assert (await act(topic="out", key="a"))["offset"] is not None
    for wrong, type in (
        ({"topic": "out", "data": "x" * 2_000_000}, "limit"),
        ({"topic": "out", "data": 1, "partition": 99}, "expression"),
        ({"topic": "no topic!", "data": 1}, "expression"),
        ({"topic": "out"}, "expression"),
        ({"topic": "out", "data": "\ud83d"}, "expression"),
        ({"topic": "out", "data": {"a": "\ud83d"}}, "expression"),
        ({"topic": "out", "data": 1, "key": "\ud83d"}, "expression"),
        ({"topic": "out", "data": 1, "headers": {"h": "\ud83d"}}, "expression"),
        ({"topic": "out", "data": 1, "headers": {"\ud83d": "v"}}, "expression"),
    ):
        with pytest.raises(StepFailed) as caught:
            await act(**wrong)
        assert caught.value.type == type and not caught.value.retryable, caught.value
    here.connection = Lent(Kind, {"servers": "127.0.0.1:1"}).lend
    with pytest.raises(NotConnected):
        await act(topic="out", data=1)


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def test_every_codec_is_read(kafka_server: Server, tmp_path: Path) -> None:
    """As our library frames them, and as Java does: a topic with a codec of its own has each batch written anew by the
    broker."""
    topics = [NewTopic(f"codec-{codec}", 1, 1, topic_configs={"compression.type": codec}) for codec in CODECS[1:]]
    using(kafka_server, lambda admin: admin.create_topics([NewTopic("codecs", 1, 1), *topics]))
    daemon = Daemon(tmp_path)
    source = f"connection: '{kafka_server.url}', pattern: '^codec.*', from: earliest"
    daemon.flow("sink.yaml", SINK % f"kafka: {{{source}}}")

    async def work() -> None:
        for place, codec in enumerate(CODECS):
            given = None if codec == "none" else codec
            async with AIOKafkaProducer(bootstrap_servers=address(kafka_server), compression_type=given) as producer:
                for n in range(20):
                    await producer.send("codecs", json.dumps({"n": 100 * place + n, "pad": "x" * 500}).encode())
                if codec == "none":
                    for other, topic in enumerate(topics):
                        for n in range(20):
                            body = {"n": 1000 + 100 * other + n, "pad": "x" * 500}
                            await producer.send(topic.name, json.dumps(body).encode())

    asyncio.run(work())
    wanted = {100 * place + n for place in range(5) for n in range(20)}
    wanted |= {1000 + 100 * place + n for place in range(4) for n in range(20)}
    with daemon:
        eventually(lambda: set(numbers(daemon)) == wanted, 60, f"missing: {sorted(wanted - set(numbers(daemon)))[:5]}")


ODD = """
import asyncio, json, os
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main():
    async with AIOKafkaProducer(bootstrap_servers=os.environ["SERVERS"], max_request_size=10_000_000) as producer:
        given = [[("h", b"\\xff")], [(Name("na"), b"v")], [("a", b"1"), ("b", b"x"), ("a", b"2"), ("c", None)]]
        for n, headers in enumerate(given):
            await producer.send_and_wait("odd", json.dumps({"n": n}).encode(), key=b"\\xe9", headers=headers)
        await producer.send_and_wait("odd", json.dumps({"n": 3, "pad": "x" * 6_000_000}).encode())
        await producer.send_and_wait("odd", b'{"n": 4}', timestamp_ms=2**62)
        await producer.send_and_wait("odd", b'{"n": 5}')

asyncio.run(main())
"""
"""In Python alone, the library sends what its compiled part does not."""


def test_headers_keys_and_sizes_that_are_odd(kafka_server: Server, tmp_path: Path) -> None:
    settings = {"max.message.bytes": "10000000", "message.timestamp.after.max.ms": str(2**63 - 1)}
    wide = NewTopic("odd", 1, 1, topic_configs=settings)
    using(kafka_server, lambda admin: admin.create_topics([wide]))

    given = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1", "SERVERS": address(kafka_server)}
    subprocess.run([sys.executable, "-c", ODD], env=given, check=True, timeout=60)
    daemon = Daemon(tmp_path)
    daemon.flow(
        "sink.yaml",
        f"flow: sink\nwhen: [{{kafka: {{connection: '{kafka_server.url}', topic: odd, from: earliest}}}}]\ndo: []\n"
        "output: {n: '${{ event.data.n }}', headers: '${{ event.headers }}', event: '${{ event if event.data.n < 3 else null }}'}\n",
    )
    with daemon:
        runs = {run["output"]["n"]: run["output"] for run in wait_runs(daemon, "sink", 5)}
        assert runs[0]["headers"] == {"h": "\\xff"} and runs[0]["event"]["headers_bytes"] == {"h": "/w=="}
        assert runs[0]["event"]["key_bytes"] == "6Q==" and runs[1]["headers"] == {"\\xff\\xfe": "v"}
        assert runs[2]["headers"] == {"a": "2", "b": "x", "c": None}
        assert runs[2]["event"]["headers_all"] == {"a": ["1", "2"], "b": ["x"], "c": [None]}

        def all_there() -> bool:
            """The one whose time is after the year 9999 is an event, or a dead letter that says where it stands."""
            letters = daemon.get("/api/v1/dead-letters")["items"]
            assert all("the topic odd, partition 0, offset 4" in one["invalid"] for one in letters), letters
            seen = {run["output"]["n"] for run in wait_runs(daemon, "sink", 5)}
            return {0, 1, 2, 3, 5} <= seen and len(seen) + len(letters) == 6

        eventually(all_there, 20, "a message is missing")
        assert daemon.get("/api/v1/triggers")["items"][0]["failures"] == 0


def test_a_topic_that_cannot_be_read_is_its_own_fault(kafka_server: Server, tmp_path: Path) -> None:
    """The broker makes a topic that does not exist, but not one of this name."""
    make_topic(kafka_server, "stands", 1)
    stands_alone(
        Daemon(tmp_path), f"kind: kafka\nsettings: {{servers: '{address(kafka_server)}'}}\n",
        "kafka: {connection: shared, topic: stands, group: stands}", "kafka: {connection: shared, topic: '..'}",
        publisher(kafka_server, "stands"), "the topic .. (group reactor) does not exist", failures=2,
    )  # fmt: skip


async def test_the_other_side_takes_away_what_it_reads(kafka_server: Server) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address(kafka_server))
    await admin.start()

    async def make(number: int) -> None:
        await anyio.to_thread.run_sync(send, kafka_server, "away", [(None, b"%d" % number)])

    async def delete() -> None:
        await admin.delete_topics(["away"])

    async def nothing() -> None:
        return None

    try:
        await admin.create_topics([NewTopic("away", 2, 1)])
        lent = Lent(Kind, {"servers": address(kafka_server)})
        found = await trigger_suite.notices_what_is_taken_away(
            Kafka, options(topic="away"), make, delete, nothing, lent, 90
        )
        assert "the topic away was deleted" in found.warnings[-1]
    finally:
        await admin.close()


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(servers="host")) and Kind.problems(Settings(servers="h:1", user="u"))
    assert Kind.from_url("kafka+tls://u:p%2F@a:1,b:2") == {
        "servers": "a:1,b:2",
        "security": "tls",
        "user": "u",
        "password": "p/",
    }
    for given in (
        {},
        {"topic": "a", "pattern": "b"},
        {"topic": "a b"},
        {"pattern": "("},
        {"topic": "a", "from": "soon"},
        {"topic": "a", "batch": 0},
    ):
        assert Kafka.problems(options(**given)), given
