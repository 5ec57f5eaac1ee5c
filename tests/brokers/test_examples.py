"""The examples of message systems, each against its real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aio_pika
import paho.mqtt.publish
import pytest
import redis
from nats.js.api import KeyValueConfig

from tests import services
from tests.brokers.harness import settle, wait_runs
from tests.brokers.test_kafka import make_topic, send
from tests.brokers.test_nats import using
from tests.daemon import Daemon

EXAMPLES = Path(__file__).parent.parent.parent / "examples/brokers"
PLACES = {
    "kafka": "kafka://localhost:9092", "nats": "nats://localhost:4222", "redis": "redis://localhost:6379/0",
    "mqtt": "mqtt://localhost:1883", "rabbitmq": "amqp://guest:guest@localhost:5672/",
}  # fmt: skip


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    yield Daemon(tmp_path)


@contextlib.contextmanager
def running(daemon: Daemon) -> Iterator[None]:
    try:
        yield
    finally:
        daemon.__exit__()


def start(daemon: Daemon, name: str, server: services.Service) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    assert "enabled: false" in text and PLACES[name] in text
    daemon.flow(f"{name}.yaml", text.replace("enabled: false\n", "").replace(PLACES[name], server.url))
    daemon.start()
    settle(daemon)


def test_kafka(daemon: Daemon, kafka_server: services.Kafka) -> None:
    for topic in ("orders", "large-orders"):
        make_topic(kafka_server, topic, 1)
    with running(daemon):
        start(daemon, "kafka", kafka_server)
        send(kafka_server, "orders", [(b"a", b'{"total": 5000}'), (b"b", b'{"total": 5}')])
        assert wait_runs(daemon, "from-kafka", 1)[0]["output"] == 5000


def test_nats(daemon: Daemon, nats_server: services.Nats) -> None:
    async def before(client: Any) -> None:
        bucket = await client.jetstream().create_key_value(KeyValueConfig(bucket="prices"))
        await bucket.put("a-1", b"12.5")

    using(nats_server, before)
    with running(daemon):
        start(daemon, "nats", nats_server)

        async def ask(client: Any) -> Any:
            return json.loads((await client.request("prices.get", b'{"sku": "a-1"}', timeout=10)).data)

        assert using(nats_server, ask) == {"sku": "a-1", "price": 12.5}


def test_redis(daemon: Daemon, redis_server: services.Redis) -> None:
    with running(daemon), redis.Redis.from_url(redis_server.url) as client:
        start(daemon, "redis", redis_server)
        client.rpush("jobs", '{"id": 7, "numbers": [1, 2, 3]}')
        assert wait_runs(daemon, "redis-jobs", 1)[0]["output"] == 6
        daemon.wait_run(wait_runs(daemon, "redis-jobs", 1)[0]["id"])
        assert json.loads(client.get("result:7") or b"") == {"sum": 6}


def test_mqtt(daemon: Daemon, mqtt_server: services.Mqtt) -> None:
    with running(daemon):
        start(daemon, "mqtt", mqtt_server)
        for value in ("20", "27.5", "28"):
            paho.mqtt.publish.single(
                "house/attic/temperature", value, 1, hostname=mqtt_server.host, port=mqtt_server.port
            )
        (run,) = wait_runs(daemon, "mqtt-blinds", 1)
        assert daemon.wait_run(run["id"])["output"] == "attic"


def test_rabbitmq(daemon: Daemon, amqp_server: services.Amqp) -> None:
    with running(daemon):
        start(daemon, "rabbitmq", amqp_server)

        async def work() -> None:
            async with await aio_pika.connect(amqp_server.url) as connection:
                channel = await connection.channel()
                await channel.default_exchange.publish(aio_pika.Message(b'{"to": "a@b.c"}'), routing_key="mails")

        asyncio.run(work())
        (run,) = wait_runs(daemon, "rabbitmq-mails", 1)
        assert daemon.wait_run(run["id"])["output"] == "a@b.c"
