"""Positions and identities in the store stand under the name of their source, so a kind never names it anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from plugins.host.kinds import trigger_class
from plugins.host.manifest import TriggerSpec
from reactor.contracts.kinds import AnyTrigger
from reactor.kinds.registry import TRIGGERS, LazyRegistry
from reactor.kit.json_schema import compile_schema

KINDS = LazyRegistry[AnyTrigger](TRIGGERS)
FOLDER = "/srv/flows"
NAMED: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("amqp", {"connection": "shop", "queue": "orders"}, "amqp:1941c637e632081e", "the queue orders (shop)"),
    (
        "amqp",
        {
            "connection": "amqp://localhost",
            "queue": "orders",
            "bind": {"exchange": "shop", "keys": ["order.*"]},
            "prefetch": 10,
            "arguments": {"x-queue-type": "quorum"},
            "declare": False,
            "decode": "json",
        },
        "amqp:3e61b38a1a8859ee",
        "the queue orders (amqp://localhost)",
    ),
    ("cron", {"at": "0 6 * * 1-5"}, "cron:f07215fbdeea8ddb", None),
    (
        "cron",
        {"at": "@daily", "zone": "Europe/Berlin", "missed": "all", "within": "2h", "jitter": "5s"},
        "cron:13bd845a344b38b0",
        None,
    ),
    ("event", {"type": "order.created"}, "event", None),
    ("event", {"type": "order.**", "source": "shop", "where": "event.data.total > 5"}, "event", None),
    ("every", {"period": "10s"}, "every:70cd709c2e882516", None),
    ("every", {"period": "1h", "missed": "all"}, "every:bc6d19248fc7e8f8", None),
    ("files", {"path": "inbox/*.csv"}, "files:83b190b9d7990ad6", None),
    (
        "files",
        {"path": "/srv/in/**", "events": ["created", "moved"], "settle": "0s", "poll": "1s", "existing": False},
        "files:478856e8e649ba73",
        None,
    ),
    ("http", {"path": "/orders"}, "http:d99014d3405bc3ef", "POST /hooks/orders"),
    (
        "http",
        {
            "path": "/orders/{region}",
            "method": "PUT",
            "verify": {"github": ["old", "new"]},
            "limit": "2MiB",
            "cors": ["https://app.example"],
            "wait": "5s",
        },
        "http:d7f35f1d7f2e8069",
        "PUT /hooks/orders/{}",
    ),
    (
        "http",
        {"path": "/hook", "verify": {"hmac": {"secret": "s", "header": "x-sign"}}},
        "http:45e46f6c20d8410d",
        "POST /hooks/hook",
    ),
    (
        "kafka",
        {"connection": "kafka://localhost:9092", "topic": "orders"},
        "kafka:7149e3cfde182a93",
        "the group reactor of the topic orders (kafka://localhost:9092)",
    ),
    (
        "kafka",
        {"connection": "shop", "topic": ["a", "b"], "group": "g", "from": "earliest", "decode": "bytes", "batch": 7},
        "kafka:7c1d57a28fe6b99c",
        "the group g of the topic a, b (shop)",
    ),
    (
        "kafka",
        {"connection": "shop", "pattern": "a.*"},
        "kafka:33eac77d96e9c284",
        "the group reactor of the topic a.* (shop)",
    ),
    ("manual", {}, "manual", None),
    ("manual", {"inputs": {"type": "object"}}, "manual", None),
    ("mqtt", {"connection": "mqtt://localhost", "topic": "sensors/{room}/temperature"}, "mqtt:a22d17e08c428864", None),
    (
        "mqtt",
        {
            "connection": "home",
            "topic": "a/#",
            "qos": 2,
            "client_id": "one",
            "share": "g",
            "retained": True,
            "session": 60,
            "decode": "text",
        },
        "mqtt:cdf08503dae38f72",
        "the client id one (home)",
    ),
    ("mysql", {"connection": "shop", "tables": ["shop.orders"]}, "mysql:ee1890c68e604e3b", None),
    (
        "mysql",
        {
            "connection": "shop",
            "tables": ["shop.*"],
            "operations": ["insert"],
            "snapshot": "initial",
            "server_id": 7,
            "max_lag": "1GiB",
            "after_loss": "restart",
            "batch": 5,
        },
        "mysql:42ae3fa0c34b075f",
        None,
    ),
    (
        "nats",
        {"connection": "nats://localhost", "stream": "ORDERS"},
        "nats:26c1c5758c687127",
        "the consumer reactor of ORDERS (nats://localhost)",
    ),
    (
        "nats",
        {"connection": "n", "subject": "orders.>", "queue_group": "g", "decode": "json"},
        "nats:72c8990958e5a074",
        None,
    ),
    (
        "nats",
        {
            "connection": "n",
            "bucket": "settings",
            "keys": "a.*",
            "durable": "d",
            "from": "2026-01-31T12:00:00Z",
            "deliveries": 3,
            "ack_wait": "10s",
        },
        "nats:c018d579a019b5e0",
        "the consumer d of settings (n)",
    ),
    ("postgres", {"connection": "shop", "tables": ["public.orders"]}, "postgres:b44ee3878010d147", None),
    (
        "postgres",
        {
            "connection": "shop",
            "tables": ["a.*", "b"],
            "operations": ["insert", "delete"],
            "snapshot": "initial",
            "slot": "mine",
            "publication": "p",
            "max_lag": "1GiB",
            "after_loss": "restart",
            "batch": 5,
        },
        "postgres:83cfd05974f59f2b",
        "the slot mine (shop)",
    ),
    ("postgres.notify", {"connection": "shop", "channel": "orders"}, "postgres.notify:3ea3911162402229", None),
    (
        "postgres.notify",
        {"connection": "shop", "channel": "orders", "decode": "json"},
        "postgres.notify:d9d0d11fb39f25df",
        None,
    ),
    ("queue", {"name": "mails"}, "queue:61f2b09c355a6c01", "the queue mails"),
    ("queue", {"name": "mails", "at_once": 1}, "queue:323ec2152ec090a7", "the queue mails"),
    (
        "redis",
        {"connection": "redis://localhost", "stream": "orders"},
        "redis:194da6259e6263aa",
        "the group reactor of the redis stream orders (redis://localhost)",
    ),
    (
        "redis",
        {"connection": "cache", "list": "jobs", "decode": "json"},
        "redis:ba4d4757658fe9cd",
        "the redis list jobs (cache)",
    ),
    (
        "redis",
        {"connection": "cache", "stream": "s", "group": "g", "from": "earliest", "deliveries": 2, "claim_after": "10s"},
        "redis:fee19af5b642f2a0",
        "the group g of the redis stream s (cache)",
    ),
    (
        "sql",
        {"connection": "shop", "query": "SELECT * FROM o WHERE id > :cursor", "cursor": "id"},
        "sql:10715c0efdbb3cc3",
        None,
    ),
    (
        "sql",
        {
            "connection": "shop",
            "query": "SELECT * FROM o",
            "key": ["a", "b"],
            "after": "DELETE FROM o WHERE id = :id",
            "every": "1s",
            "limit": 5,
            "timeout": "5s",
        },
        "sql:03d61196239f5603",
        None,
    ),
    (
        "sql",
        {
            "connection": "shop",
            "query": "SELECT * FROM o WHERE (a, b) > (:a, :b)",
            "cursor": ["a", "b"],
            "start": [1, None],
            "start_query": "SELECT 1 AS a, 2 AS b",
        },
        "sql:89eb52da5c1da180",
        None,
    ),
]
"""Kind, options, the name of the source, what only one source may have."""


@pytest.mark.parametrize(("kind", "given", "name", "claim"), NAMED)
def test_a_source_keeps_its_name(kind: str, given: dict[str, Any], name: str, claim: str | None) -> None:
    cls = KINDS.get(kind)
    options = msgspec.convert(given, cls.Options)
    assert cls.problems(options) == []
    assert (cls.source(options, FOLDER), cls.claim(options)) == (name, claim)


def test_each_kind_is_held_to_its_names() -> None:
    assert {kind for kind, *_ in NAMED} == set(TRIGGERS)


def test_kinds_of_plugins_keep_their_names_too() -> None:
    properties = {"city": {"type": "string"}, "every": {"type": "integer", "default": 60}}
    spec = TriggerSpec(summary="Weather.", options={"type": "object", "properties": properties, "required": ["city"]})
    plugin: Any = SimpleNamespace(name="weather")
    cls = trigger_class(plugin, "changed", spec, compile_schema)
    named = [
        cls.source(msgspec.convert(given, cls.Options), FOLDER)
        for given in ({"city": "Rome"}, {"city": "Rome", "every": 5})
    ]
    assert named == ["weather.changed:01a3d65c21395461", "weather.changed:9b9bd83ea32a41ba"]
