"""Kinds by name, each imported on first use, so that starting costs nothing for what no flow names."""

from __future__ import annotations

import importlib
from typing import Generic, TypeVar, cast

K = TypeVar("K")

ACTIONS: dict[str, str] = {
    **{
        f"http.{method}": f"plugins.actions.http:{method.title()}"
        for method in ("request", "get", "head", "post", "put", "patch", "delete")
    },
    **{
        f"file.{verb}": f"plugins.actions.file:{verb.title()}"
        for verb in ("read", "write", "append", "copy", "move", "delete", "list")
    },
    **{f"script.{name}": f"plugins.actions.script:{name.title()}" for name in ("python", "node", "shell")},
    "email.send": "plugins.actions.email:Send",
    "webhook.send": "plugins.actions.webhook:Send",
    **{
        f"{format}.{verb}": f"plugins.actions.{format}:{verb.title()}"
        for format in ("csv", "json", "xml", "yaml")
        for verb in ("read", "convert")
    },
    "csv.write": "plugins.actions.csv:Write",
    **{f"text.{verb}": f"plugins.actions.text:{verb.title()}" for verb in ("lines", "filter", "replace", "split")},
    **{f"archive.{verb}": f"plugins.actions.archive:{verb.title()}" for verb in ("create", "extract", "list")},
    "amqp.publish": "plugins.actions.amqp:Publish",
    "mqtt.publish": "plugins.actions.mqtt:Publish",
    "kafka.publish": "plugins.actions.kafka:Publish",
    **{
        f"nats.{name}": f"plugins.actions.nats:{name.title().replace('_', '')}"
        for name in ("publish", "request", "kv_get", "kv_put")
    },
    **{
        f"redis.{name}": f"plugins.actions.redis:{name.title().replace('_', '')}"
        for name in ("publish", "stream_add", "get", "set", "delete", "push", "increment", "eval")
    },
    **{
        f"sql.{name}": f"plugins.actions.sql:{name.title()}"
        for name in ("query", "execute", "insert", "upsert", "transaction")
    },
    **{f"data.{name}": f"plugins.actions.data:{name.title()}" for name in ("get", "put", "query", "delete")},
    "shell.run": "plugins.actions.shell:Run",
    "log": "plugins.actions.log:Log",
    "uuid": "plugins.actions.uuid:Uuid",
    "time.now": "plugins.actions.time:Now",
    "random.int": "plugins.actions.random:Int",
    "random.choice": "plugins.actions.random:Choice",
}
TRIGGERS: dict[str, str] = {
    "http": "triggers.http.kind:Http",
    "files": "triggers.files:Files",
    "cron": "triggers.cron:Cron",
    "every": "triggers.every:Every",
    "event": "triggers.event:EventKind",
    "amqp": "triggers.amqp.kind:Amqp",
    "mqtt": "triggers.mqtt.kind:Mqtt",
    "kafka": "triggers.kafka.kind:Kafka",
    "nats": "triggers.nats.kind:Nats",
    "redis": "triggers.redis.kind:Redis",
    "postgres": "triggers.postgres.kind:Postgres",
    "postgres.notify": "triggers.postgres.kind:Notify",
    "mysql": "triggers.mysql.kind:Mysql",
    "sql": "triggers.sql:Sql",
    "queue": "triggers.queue:Queue",
    "manual": "triggers.manual:Manual",
}
CONNECTIONS: dict[str, str] = {
    "http": "plugins.connections.http:Http",
    "amqp": "plugins.connections.amqp:Amqp",
    "mqtt": "plugins.connections.mqtt:Mqtt",
    "kafka": "plugins.connections.kafka:Kafka",
    "nats": "plugins.connections.nats:Nats",
    "redis": "plugins.connections.redis:Redis",
    "postgres": "plugins.connections.postgres:Postgres",
    "mysql": "plugins.connections.mysql:Mysql",
    "sqlite": "plugins.connections.sqlite:Sqlite",
    "smtp": "plugins.connections.smtp:Smtp",
}


class LazyRegistry(Generic[K]):
    """Names to `module:Class`; further kinds may be added as classes. Fulfils `reactor.contracts.registry`."""

    def __init__(self, table: dict[str, str]) -> None:
        self._table: dict[str, str | type[K]] = dict(table)

    def names(self) -> list[str]:
        return sorted(self._table)

    def get(self, name: str) -> type[K]:
        found = self._table[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = self._table[name] = cast("type[K]", getattr(importlib.import_module(module), attribute))
        return found

    def remove(self, name: str) -> None:
        self._table.pop(name, None)

    def add(self, name: str, kind: type[K]) -> None:
        self._table[name] = kind
