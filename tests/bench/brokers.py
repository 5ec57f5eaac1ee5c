"""Durable runs a second out of each broker, beside the bare client's consume rate in the same run.

make bench-brokers                 all five, 20,000 messages each
make bench-brokers ARGS=--backlog  and resident memory over 60 s out of a backlog of a million (Kafka, JetStream)
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402
from tests.bench.order_flow import cpu  # noqa: E402
from tests.brokers import test_amqp, test_kafka, test_mqtt, test_nats, test_redis  # noqa: E402
from tests.brokers.harness import SINK, memory, settle  # noqa: E402
from tests.daemon import Daemon  # noqa: E402

COUNT = 20_000
Publish = Callable[[Sequence[int]], None]


def runs(daemon: Daemon) -> int:
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    found = store.execute("SELECT coalesce(max(seq), 0) FROM runs").fetchone()
    store.close()
    assert found is not None
    return int(found[0])


def bare_kafka(server: Any) -> float:
    from aiokafka import AIOKafkaConsumer

    async def work() -> float:
        address = test_kafka.address(server)
        consumer = AIOKafkaConsumer("bench", bootstrap_servers=address, group_id="bare", auto_offset_reset="earliest")
        async with consumer:
            seen = first = 0
            begun = 0.0
            while seen < COUNT:
                for messages in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                    seen += sum(1 for message in messages if json.loads(message.value))
                if seen and not begun:
                    begun, first = time.monotonic(), seen
            return (seen - first) / (time.monotonic() - begun)

    return asyncio.run(work())


def bare_nats(server: Any) -> float:
    async def work(client: Any) -> float:
        from nats.js.api import ConsumerConfig, DeliverPolicy

        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, max_ack_pending=4000)
        subscription = await client.jetstream().pull_subscribe("bench.>", durable="bare", stream="bench", config=config)
        seen, begun = 0, time.monotonic()
        while seen < COUNT:
            for message in await subscription.fetch(500, timeout=5):
                json.loads(message.data)
                await message.ack()
                seen += 1
        return COUNT / (time.monotonic() - begun)

    return float(test_nats.using(server, work))


def bare_stream(server: Any) -> float:
    import redis

    with redis.Redis.from_url(server.url) as client:
        client.xgroup_create("bench", "bare", id="0")
        seen, begun = 0, time.monotonic()
        while seen < COUNT:
            entries = client.xreadgroup("bare", "c", {"bench": ">"}, count=500)[0][1]
            client.xack("bench", "bare", *[id for id, _ in entries])
            seen += len(entries)
        return COUNT / (time.monotonic() - begun)


def bare_list(server: Any) -> float:
    import redis

    with redis.Redis.from_url(server.url) as client:
        client.copy("benchlist", "barelist")
        seen, begun = 0, time.monotonic()
        while seen < COUNT:
            seen += len([json.loads(one) for one in client.lpop("barelist", 500) or []])
        return COUNT / (time.monotonic() - begun)


def bare_amqp(server: Any) -> float:
    async def work(channel: Any) -> float:
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue("barebench", durable=True)
        seen, begun = 0, time.monotonic()
        async with queue.iterator() as messages:
            async for message in messages:
                json.loads(message.body)
                seen += 1
                if seen % 100 == 0:
                    await message.ack(multiple=True)
                if seen == COUNT:
                    return COUNT / (time.monotonic() - begun)
        return 0.0

    test_amqp.publisher(server, "barebench")(range(COUNT))
    return float(test_amqp.using(server, work))


def bare_mqtt(server: Any) -> float:
    import threading

    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    done = threading.Event()
    seen: list[float] = []

    def received(client: Any, _: Any, message: Any) -> None:
        json.loads(message.payload)
        seen.append(time.monotonic())
        if len(seen) == COUNT:
            done.set()

    def session() -> Any:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare", clean_session=False)
        client.on_message = received
        client.on_connect = lambda c, *_: c.subscribe("barebench", 1)
        client.connect(server.host, server.port)
        client.loop_start()
        return client

    first = session()
    time.sleep(1)
    first.disconnect()
    first.loop_stop()
    test_mqtt.publisher(server, "barebench")(range(COUNT))
    second = session()
    done.wait(120)
    second.disconnect()
    second.loop_stop()
    return (COUNT - 1) / (seen[-1] - seen[0])


def measure(
    base: Path, name: str, server: Any, trigger: str, publish: Publish, before: bool = False
) -> tuple[float, float]:
    """Runs a second, and CPU microseconds a run. `before`: the session must be there before the messages."""
    folder = base / name.replace(" ", "-")
    folder.mkdir()
    daemon = Daemon(folder, "--log-level", "warning")
    daemon.flow("sink.yaml", SINK % trigger)
    if before:
        up(daemon)
        settle(daemon)
        daemon.stop()
        daemon = Daemon(folder, "--log-level", "warning")
    publish(range(COUNT))
    up(daemon)
    assert daemon.process is not None
    pid = daemon.process.pid
    while not runs(daemon):
        time.sleep(0.002)
    begun, first, used = time.monotonic(), runs(daemon), cpu(pid)
    while runs(daemon) < COUNT:
        time.sleep(0.01)
    passed, counted = time.monotonic() - begun, COUNT - first
    used = cpu(pid) - used
    daemon.stop()
    return counted / passed, used / max(counted, 1) * 1e6


def up(daemon: Daemon) -> None:
    from tests.bench.order_flow import daemon_up

    daemon.options = ("--log-level", "warning")
    daemon_up(daemon)


def backlog(base: Path, name: str, trigger: str, publish: Publish, before: bool = False) -> None:
    folder = base / f"backlog-{name.replace(' ', '-')}"
    folder.mkdir()
    daemon = Daemon(folder)
    daemon.flow("sink.yaml", SINK % trigger)
    if before:
        daemon.start()
        settle(daemon)
        daemon.stop()
    for start in range(0, 1_000_000, 50_000):
        publish(range(start, start + 50_000))
    daemon.start()
    sizes = []
    for _ in range(6):
        time.sleep(10)
        sizes.append(memory(daemon) / 2**20)
    shown = [round(size) for size in sizes]
    print(f"{name}: {runs(daemon):,} runs in 60 s out of a million, resident MiB each 10 s: {shown}", flush=True)
    daemon.kill()


def main() -> None:
    started: dict[str, Any] = {}
    try:
        for kind in (services.Kafka, services.Nats, services.Redis, services.Mqtt, services.Amqp):
            started[kind.name] = kind().start()
        kafka, nats, redis, mqtt, amqp = (started[name] for name in ("kafka", "nats", "redis", "mqtt", "amqp"))
        test_kafka.make_topic(kafka, "bench")
        test_nats.make_stream(nats, "bench")
        rows: list[tuple[str, Any, str, Publish, Callable[[Any], float], bool]] = [
            ("Kafka", kafka, f"kafka: {{connection: '{kafka.url}', topic: bench, from: earliest}}", test_kafka.publisher(kafka, "bench"), bare_kafka, False),
            ("JetStream", nats, f"nats: {{connection: '{nats.url}', stream: bench, from: earliest}}", test_nats.publisher(nats, "bench"), bare_nats, False),
            ("Redis stream", redis, f"redis: {{connection: '{redis.url}', stream: bench, from: earliest}}", test_redis.adder(redis, "bench"), bare_stream, False),
            ("Redis list", redis, f"redis: {{connection: '{redis.url}', list: benchlist}}", test_redis.pusher(redis, "benchlist"), bare_list, False),
            ("MQTT qos 1", mqtt, f"mqtt: {{connection: '{mqtt.url}', topic: bench}}", test_mqtt.publisher(mqtt, "bench"), bare_mqtt, True),
            ("RabbitMQ", amqp, f"amqp: {{connection: '{amqp.url}', queue: bench, prefetch: 500}}", test_amqp.publisher(amqp, "bench"), bare_amqp, False),
        ]  # fmt: skip
        print("| broker | bare client/s | durable runs/s | CPU µs a run |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            base = Path(name)
            for title, server, trigger, publish, bare, before in rows if len(sys.argv) < 3 else []:
                if bare is bare_list:
                    publish(range(COUNT))
                    rate = bare(server)
                    done, used = measure(base, title, server, trigger, lambda part: None, before)
                else:
                    done, used = measure(base, title, server, trigger, publish, before)
                    rate = bare(server)
                print(f"| {title} | {rate:,.0f} | {done:,.0f} | {used:.0f} |", flush=True)
            if "--backlog" in sys.argv:
                test_kafka.make_topic(kafka, "million")
                test_nats.make_stream(nats, "million")
                publishers = (
                    test_kafka.publisher(kafka, "million"), test_nats.publisher(nats, "million"),
                    test_redis.adder(redis, "million"), test_redis.pusher(redis, "millions"),
                    test_mqtt.publisher(mqtt, "million"), test_amqp.publisher(amqp, "million"),
                )  # fmt: skip
                for (title, _, trigger, _, _, before), publish in zip(rows, publishers, strict=True):
                    if len(sys.argv) < 3 or title in sys.argv[2:]:
                        given = trigger.replace(": benchlist", ": millions").replace(": bench", ": million")
                        backlog(base, title, given, publish, before)
    finally:
        for one in started.values():
            one.close()


if __name__ == "__main__":
    main()
