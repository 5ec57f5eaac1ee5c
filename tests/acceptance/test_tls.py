"""Brokers and databases over TLS, for those who sign in: a message goes out and comes back in through the daemon, and
what is wrong with a connection is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import secure
from tests.daemon import Daemon, eventually
from tests.secure import PASSWORD, USER, Papers

SINK = "flow: sink\nwhen:\n  - %s\ndo: []\noutput: ${{ %s }}\n"
OUT = "flow: out\nwhen: [{http: POST /out}]\ndo:\n  - call: %s\n    with: {connection: bus, %s}\n"


@pytest.fixture(scope="module")
def papers() -> Iterator[Papers]:
    made = Papers()
    yield made
    made.close()


class Case:
    """A server, the settings of a connection to it, a trigger that hears what an action says."""

    def __init__(self, server: type[secure.Secure], settings: str, trigger: str, action: str, given: str, **more: Any):
        self.server = server
        self.settings = settings
        """JSON, with PORT, and the files as CA, CERT and KEY."""
        self.trigger = trigger
        self.action = action
        self.given = given
        self.output = more.pop("output", "event.data.n")
        self.before: list[str] = more.pop("before", [])
        """Statements of a flow that makes what the trigger needs."""
        self.nameless: str = more.pop("nameless", "certificate")
        """What is said without a client's certificate; empty where the server wants none."""
        assert not more


CERTS = '"ca": "CA", "cert": "CERT", "key": "KEY"'
SIGNED = f'"user": "{USER}", "password": "PASSWORD"'
CASES = {
    "redis": Case(
        secure.Redis, f'{{"url": "rediss://127.0.0.1:PORT/0", {SIGNED}, {CERTS}}}',
        "redis: {connection: bus, stream: s, group: g, from: earliest}", "redis.stream_add", "stream: s, data: {n: 7}",
        output="int(event.data.n)",
    ),
    "nats": Case(
        secure.Nats, f'{{"url": "tls://127.0.0.1:PORT", {SIGNED}, {CERTS}}}',
        "nats: {connection: bus, subject: s}", "nats.publish", "subject: s, data: {n: 7}",
    ),
    "mqtt": Case(
        secure.Mqtt, f'{{"host": "127.0.0.1", "port": PORT, "tls": true, {SIGNED}, {CERTS}}}',
        "mqtt: {connection: bus, topic: s, qos: 2}", "mqtt.publish", "topic: s, qos: 2, data: {n: 7}",
    ),
    "amqp": Case(
        secure.Amqp, f'{{"url": "amqps://127.0.0.1:PORT/", {SIGNED}, {CERTS}}}',
        "amqp: {connection: bus, queue: s}", "amqp.publish", "queue: s, data: {n: 7}",
    ),
    "kafka": Case(
        secure.Kafka, f'{{"servers": "127.0.0.1:PORT", "security": "tls", "mechanism": "SCRAM-SHA-512", {SIGNED}, {CERTS}}}',
        "kafka: {connection: bus, topic: s, from: earliest}", "kafka.publish", "topic: s, data: {n: 7}",
    ),
    "postgres": Case(
        secure.Postgres, f'{{"url": "postgresql://127.0.0.1:PORT/postgres?sslmode=verify-full", {SIGNED}, "ca": "CA"}}',
        "postgres: {connection: bus, tables: [s]}", "sql.insert", "table: s, columns: [n], rows: [{n: 7}]",
        before=["CREATE TABLE s (n int PRIMARY KEY)"], nameless="",
    ),
    "mysql": Case(
        secure.Mariadb, f'{{"url": "mysqls://127.0.0.1:PORT/shop", {SIGNED}, "ca": "CA"}}',
        "mysql: {connection: bus, tables: [s]}", "sql.insert", "table: s, columns: [n], rows: [{n: 7}]",
        before=["CREATE TABLE s (n int PRIMARY KEY)"], nameless="",
    ),
}  # fmt: skip


def connection(kind: str, settings: str, server: secure.Secure, papers: Papers) -> dict[str, Any]:
    words = {
        "PORT": str(server.port), "CA": str(papers.ca), "CERT": str(papers.own_cert), "KEY": str(papers.own_key),
        "PASSWORD": "${{ secrets.bus }}",
    }  # fmt: skip
    for word, value in words.items():
        settings = settings.replace(word, value)
    return {"kind": kind, "settings": json.loads(settings)}


def wrong(kind: str, case: Case, good: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Name, connection, and what is to be said of it."""

    def but(**given: Any) -> dict[str, Any]:
        settings = {name: value for name, value in {**good["settings"], **given}.items() if value is not None}
        return {"kind": kind, "settings": settings}

    yield "stranger", but(ca=None), "certificate"
    yield "password", but(password="wrong"), ""
    if case.nameless:
        yield "nameless", but(cert=None, key=None), ""
    yield "missing", but(ca="/nowhere/ca.pem"), "o such file"


@pytest.mark.parametrize("kind", CASES)
def test_there_and_back_and_what_is_wrong(kind: str, papers: Papers, tmp_path: Path) -> None:
    case = CASES[kind]
    server = case.server(papers)
    try:
        server.start()
        good = connection(kind, case.settings, server, papers)
        daemon = Daemon(tmp_path, env={"REACTOR_SECRET_BUS": PASSWORD})
        daemon.flow("connections/bus.yaml", json.dumps(good))
        for number, statement in enumerate(case.before):
            daemon.flow(f"before{number}.yaml", f"flow: before{number}\nwhen: [manual]\ndo:\n  - call: sql.execute\n    with: {{connection: bus, query: '{statement}'}}\n")  # fmt: skip
        daemon.flow("out.yaml", OUT % (case.action, case.given))
        with daemon:
            for number in range(len(case.before)):
                done = daemon.cli("start", f"before{number}", "--wait")
                assert done.returncode == 0, done.stderr
            daemon.flow("sink.yaml", SINK % (case.trigger, case.output))
            eventually(lambda: _listens(daemon, kind), 40, "the source does not listen")
            answer = daemon.post("/hooks/out?wait", {})
            assert answer.status == 200, answer.raw
            eventually(lambda: _outputs(daemon) == [7], 40, "it did not come back")
            assert daemon.stop() == 0
        checked = tmp_path / "checked/connections"
        checked.mkdir(parents=True)
        cases = {name: (one, said) for name, one, said in wrong(kind, case, good)}
        for name, (one, _) in [*cases.items(), ("right", (good, ""))]:
            (checked / f"{name}.yaml").write_text(json.dumps(one))
        told = daemon.cli("check", str(checked.parent), "--connect", "--format", "json")
        assert told.returncode == 1, told.stderr
        problems = {Path(one["file"]).stem: one["message"] for one in json.loads(told.stdout)}
        assert set(problems) == set(cases), told.stdout + told.stderr
        for name, (_, said) in cases.items():
            assert said in problems[name] and problems[name].startswith(f"{name}: {kind}: "), (name, problems[name])
            assert PASSWORD not in problems[name]
    finally:
        server.close()


def _listens(daemon: Daemon, kind: str) -> bool:
    found = [one for one in daemon.get("/api/v1/triggers")["items"] if one["kind"] == kind]
    return bool(found) and all(one["state"] == "listening" for one in found)


def _outputs(daemon: Daemon) -> list[Any]:
    return [run["output"] for run in daemon.get("/api/v1/runs?flow=sink&status=succeeded")["items"]]
