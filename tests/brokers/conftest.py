"""Each broker once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real servers start, stop, and take thousands of messages."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.limit(300))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.Redis]:
    one = services.Redis()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def nats_server() -> Iterator[services.Nats]:
    one = services.Nats()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[services.Kafka]:
    one = services.Kafka()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def mqtt_server() -> Iterator[services.Mqtt]:
    one = services.Mqtt()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def amqp_server() -> Iterator[services.Amqp]:
    one = services.Amqp()
    one.start()
    yield one
    one.close()
