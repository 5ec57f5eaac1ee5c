"""Drives the frozen executable through every trigger and action kind it holds, with a PATH that has no Python.

build/smoke.py dist/reactor
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import nats  # noqa: E402
import psycopg2  # noqa: E402
import pymysql  # noqa: E402

from reactor.kinds.registry import ACTIONS, TRIGGERS  # noqa: E402
from tests import services  # noqa: E402
from tests.daemon import Daemon, eventually  # noqa: E402
from tests.mail import MailServer  # noqa: E402

CALLS: dict[str, dict[str, Any]] = {
    "http.request": {"url": "URL/echo", "method": "POST", "json": {"a": 1}},
    "http.get": {"url": "URL/echo", "query": {"q": 1}},
    "http.head": {"url": "URL/echo"},
    "http.post": {"url": "URL/echo", "form": {"a": "b"}},
    "http.put": {"url": "URL/echo", "body": "text"},
    "http.patch": {"url": "URL/echo", "json": []},
    "http.delete": {"url": "URL/echo"},
    "file.write": {"path": "out/a.json", "json": {"a": 1}},
    "file.append": {"path": "out/b.txt", "text": "x"},
    "file.read": {"path": "out/a.json", "decode": "json"},
    "file.copy": {"path": "out/a.json", "to": "out/c.json"},
    "file.list": {"path": "out"},
    "file.move": {"path": "out/c.json", "to": "out/d.json"},
    "file.delete": {"path": "out/d.json"},
    "csv.write": {"path": "out/r.csv", "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
    "csv.read": {"path": "out/r.csv"},
    "csv.convert": {"path": "out/r.csv", "to": "out/r.ndjson"},
    "json.read": {"path": "out/r.ndjson"},
    "json.convert": {"path": "out/list.json", "items": "rows", "to": "out/l.csv"},
    "xml.read": {"path": "out/r.xml", "element": "b"},
    "xml.convert": {"path": "out/r.xml", "element": "b", "to": "out/x.json"},
    "yaml.read": {"path": "out/r.yaml"},
    "yaml.convert": {"path": "out/r.yaml", "to": "out/y.json"},
    "text.lines": {"path": "out/r.csv"},
    "text.filter": {"path": "out/r.csv", "to": "out/f.csv", "pattern": "x$"},
    "text.replace": {"path": "out/r.csv", "to": "out/g.csv", "pattern": "x", "by": "z"},
    "text.split": {"path": "out/r.csv", "to": "out/p-{}.csv", "lines": 1},
    "archive.create": {"path": "out", "to": "all.tar.xz", "pattern": "*.csv"},
    "archive.list": {"path": "all.tar.xz"},
    "archive.extract": {"path": "all.tar.xz", "to": "again"},
    "script.python": {"code": "print(1)"},
    "script.node": {"code": "console.log(1)"},
    "script.shell": {"code": "echo 1"},
    "email.send": {"to": "a@b.c", "subject": "s", "text": "t", "attach": [{"path": "out/r.csv"}]},
    "webhook.send": {"url": "URL/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "type": "a.b"},
    "redis.publish": {"connection": "REDIS", "channel": "c", "data": 1},
    "redis.stream_add": {"connection": "REDIS", "stream": "s", "data": {"n": 1}},
    "redis.set": {"connection": "REDIS", "key": "k", "data": 1},
    "redis.get": {"connection": "REDIS", "key": "k"},
    "redis.increment": {"connection": "REDIS", "key": "k"},
    "redis.push": {"connection": "REDIS", "list": "smoke", "data": {"n": 1}},
    "redis.eval": {"connection": "REDIS", "script": "return 1"},
    "redis.delete": {"connection": "REDIS", "key": "k"},
    "nats.publish": {"connection": "NATS", "subject": "smoke.a", "data": 1, "jetstream": True},
    "nats.kv_put": {"connection": "NATS", "bucket": "kv", "key": "a", "data": 1},
    "nats.kv_get": {"connection": "NATS", "bucket": "kv", "key": "a"},
    "nats.request": {"connection": "NATS", "subject": "double", "data": {"n": 2}},
    "mqtt.publish": {"connection": "MQTT", "topic": "smoke/a", "data": 1},
    "amqp.publish": {"connection": "AMQP", "queue": "smoke", "data": 1},
    "kafka.publish": {"connection": "KAFKA", "topic": "smoke", "data": 1},
    "sql.execute": {"connection": "POSTGRES", "query": "CREATE TABLE IF NOT EXISTS smoke (n int PRIMARY KEY, t text)"},
    "sql.insert": {"connection": "POSTGRES", "table": "smoke", "columns": ["n", "t"], "rows": [{"n": 1, "t": "a"}]},
    "sql.upsert": {"connection": "POSTGRES", "table": "smoke", "columns": ["n", "t"], "key": ["n"], "rows": [{"n": 1}]},
    "sql.query": {"connection": "POSTGRES", "query": "SELECT * FROM smoke WHERE n = :n", "params": {"n": 1}},
    "sql.transaction": {
        "connection": "MARIADB",
        "statements": [
            {"query": "INSERT INTO smoke VALUES (:n)", "params": {"n": 1}},
            {"query": "SELECT 1", "expect": 1},
        ],
    },
    "data.put": {"collection": "smoke", "key": "a", "value": {"n": 1}},
    "data.get": {"collection": "smoke", "key": "a"},
    "data.query": {"collection": "smoke", "where": [{"field": "n", "value": 1}]},
    "data.delete": {"collection": "smoke", "key": "a"},
    "shell.run": {"argv": ["sh", "-c", "echo out; env"]},
    "log": {"message": "hello"},
    "uuid": {"version": 7},
    "time.now": {"zone": "Europe/Berlin"},
    "random.int": {"max": 5},
    "random.choice": {"of": ["a", "b"]},
}


NOT_THERE = ("script.python", "script.node")
"""The PATH of this test has no interpreter: these must say so."""
MADE = {
    "list.json": '{"rows": [{"a": 1}]}',
    "r.xml": "<a><b>1</b></a>",
    "r.yaml": "a: 1\n---\nb: 2\n",
}


class Echo(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        return None


BROKERS = {
    "redis": "redis: {connection: 'REDIS', list: smoke}",
    "nats": "nats: {connection: 'NATS', stream: smoke, from: earliest}",
    "mqtt": "mqtt: {connection: 'MQTT', topic: 'smoke/{part}'}",
    "amqp": "amqp: {connection: 'AMQP', queue: smoke}",
    "kafka": "kafka: {connection: 'KAFKA', topic: smoke, from: earliest}",
    "postgres": "postgres: {connection: 'POSTGRES', tables: [watched]}",
    "postgres.notify": "postgres.notify: {connection: 'POSTGRES', channel: smoke}",
    "mysql": "mysql: {connection: 'MARIADB', tables: [smoke]}",
    "sql": "sql: {connection: 'POSTGRES', query: 'SELECT * FROM watched WHERE n > :cursor ORDER BY n', cursor: n, every: 200ms}",
}
REPLIES = "flow: replies\nwhen: [{nats: {connection: 'NATS', subject: double}}]\ndo: [{respond: {json: {n: 4}}}]\n"


def start_brokers() -> dict[str, services.Service]:
    kinds = (
        services.Redis, services.Nats, services.Mqtt, services.Amqp, services.Kafka, services.Postgres, services.Mariadb,
    )  # fmt: skip
    started: dict[str, services.Service] = {kind.name: kind() for kind in kinds}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: one.start(), started.values()))

    async def prepare() -> None:
        client = await nats.connect(started["nats"].url)
        await client.jetstream().add_stream(name="smoke", subjects=["smoke.>"])
        await client.jetstream().create_key_value(bucket="kv")
        await client.close()

    asyncio.run(prepare())
    with pymysql.connect(host="127.0.0.1", port=started["mariadb"].port, user="root", database="shop") as connection:
        connection.cursor().execute("CREATE TABLE smoke (n int PRIMARY KEY)")
    statement(started, "CREATE TABLE watched (n int PRIMARY KEY)")
    return started


def statement(brokers: dict[str, services.Service], *queries: str) -> None:
    with contextlib.closing(psycopg2.connect(brokers["postgres"].url)) as connection:
        connection.autocommit = True
        for query in queries:
            connection.cursor().execute(query)


def named(text: str, brokers: dict[str, services.Service]) -> str:
    for name, one in brokers.items():
        text = text.replace(name.upper(), one.url)
    return text


def actions_flow(url: str, brokers: dict[str, services.Service]) -> str:
    steps: list[dict[str, Any]] = [
        {"id": name.replace(".", "_"), "call": name, "with": given} for name, given in CALLS.items()
    ]
    for step in steps:
        if step["call"] in NOT_THERE:
            step["on_error"] = [{"catch": "script.missing", "do": [{"set": {"missing": True}}]}]
    flow = {"flow": "actions", "when": ["manual"], "do": steps, "output": {"shell": "${{ steps.shell_run.stdout }}"}}
    return named(json.dumps(flow).replace("URL", url), brokers)


def start_time(executable: Path, folder: Path) -> float:
    """Seconds from the start of the process to its first answer."""
    daemon = Daemon(folder, command=[str(executable)])
    daemon.flow("hello.yaml", "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{set: {a: 1}}]\noutput: 1\n")
    begun = time.monotonic()
    with daemon:
        answer = daemon.post("/hooks/hello?wait", {})
        elapsed = time.monotonic() - begun
        assert (answer.status, answer.json) == (200, 1), answer.raw
        assert daemon.stop() == 0
    return elapsed


def triggers(executable: Path, folder: Path, environment: dict[str, str], brokers: dict[str, services.Service]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert set(CALLS) == set(ACTIONS), "the smoke test calls every action"
    daemon = Daemon(folder, "--allow", "shell", "--allow", "script", env=environment, command=[str(executable)])
    kinds = {
        "queue": "queue: smoke",
        **{name: named(text, brokers) for name, text in BROKERS.items()},
        "http": "http: POST /go/{name}",
        "files": '{files: {path: "inbox/*.txt", settle: 0s, poll: 1s}}',
        "cron": 'cron: "* * * * * *"',
        "every": "every: 500ms",
        "event": "event: smoke.*",
        "manual": "manual",
    }
    assert set(kinds) == set(TRIGGERS), "the smoke test drives every trigger"
    (folder / "flows" / "inbox").mkdir()
    for kind, text in kinds.items():
        daemon.flow(
            f"{kind}.yaml",
            f"flow: on-{kind.replace('.', '-')}\nwhen:\n  - {text}\ndo: [{{set: {{a: 1}}}}]\noutput: ${{{{ event.type }}}}\n",
        )
    daemon.flow("collections/smoke.yaml", "schema: {type: object}\n")
    daemon.flow("replies.yaml", named(REPLIES, brokers))
    daemon.flow("actions.yaml", actions_flow(f"http://127.0.0.1:{server.server_port}", brokers))
    (folder / "flows" / "out").mkdir()
    for name, text in MADE.items():
        (folder / "flows" / "out" / name).write_text(text)
    with MailServer(folder) as mail, daemon:
        daemon.flow(
            "connections/email.yaml",
            f"kind: smtp\nsettings: {{host: localhost, port: {mail.port}, user: ada, password: s3cret-pass/word, "
            f"ca: {mail.ca}, sender: r@b.c}}\n",
        )
        eventually(lambda: daemon.get("/api/v1/connections")["items"], 20, "no connection")
        assert daemon.cli("queues", "push", "smoke", "--data", "1").returncode == 0
        daemon.post("/hooks/go/x", {"a": 1})
        (folder / "flows" / "inbox" / "a.txt").write_text("x")
        assert daemon.cli("send", "smoke.test", "--data", '{"a": 1}').returncode == 0
        assert daemon.cli("start", "on-manual", "--wait").returncode == 0
        eventually(lambda: not daemon.get("/readyz")["sources"], 60, "a source does not listen")
        statement(brokers, "INSERT INTO watched VALUES (1)", "NOTIFY smoke, '1'")
        done = daemon.cli("start", "actions", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        for kind in kinds:
            eventually(
                lambda kind=kind: daemon.get(f"/api/v1/runs?flow=on-{kind.replace('.', '-')}&status=succeeded")[
                    "items"
                ],
                20,
                f"no run by {kind}",
            )
        assert "LD_LIBRARY_PATH" not in done.stdout, done.stdout
        assert "_MEI" not in done.stdout, done.stdout
        run = daemon.get("/api/v1/runs?flow=actions")["items"][0]
        steps = daemon.get(f"/api/v1/runs/{run['id']}")["steps"]
        assert len(steps) == len(ACTIONS)
        for step in steps:
            name = list(CALLS)[int(step["path"].rpartition("/")[2])]
            wanted = "script.missing" if name in NOT_THERE else None
            assert (step["error"] or {}).get("type") == wanted, (name, step)
        assert len(mail.inbox.mails) == 1
        daemon.kill()
        daemon.start()
        assert daemon.get("/readyz")["status"] == "ready"
        assert daemon.stop() == 0
    server.shutdown()
    leftovers = [path for path in Path(environment["TMPDIR"]).iterdir() if path.name.startswith("reactor-flows-")]
    assert not leftovers, leftovers


def examples(executable: Path, folder: Path, environment: dict[str, str]) -> None:
    secrets = {"REACTOR_SECRET_GITHUB_WEBHOOK": "hook-secret", "REACTOR_SECRET_GITHUB_TOKEN": "token-secret"}
    daemon = Daemon(folder, env=environment | secrets, command=[str(executable)])
    shutil.rmtree(daemon.flows)
    shutil.copytree(ROOT / "examples", daemon.flows, ignore=shutil.ignore_patterns("out", "failed"))
    done = daemon.cli("check", "flows")
    assert done.returncode == 0, done.stdout + done.stderr
    with daemon:
        answer = daemon.post("/hooks/orders?wait", {"id": "o-1", "customer": "ada", "total": 100})
        assert (answer.status, answer.json["gross"]) == (200, 119.0), answer.raw
        (daemon.flows / "csv-to-json/inbox/a.csv").write_text("n\n1\n")
        eventually((daemon.flows / "csv-to-json/out/a.json").exists, 20, "no a.json")
        pushed = daemon.post("/hooks/deploy?wait", {"ref": "refs/heads/main", "after": "abc"})
        assert pushed.json["commit"] == "abc", pushed.raw
        report = daemon.cli("start", "report", "--wait")
        assert json.loads(report.stdout)["count"] == 2, report.stderr
        assert daemon.stop() == 0


def bundle(executable: Path, folder: Path, environment: dict[str, str]) -> None:
    flows = folder / "src"
    flows.mkdir()
    (flows / "one.yaml").write_text(
        "flow: one\nwhen: [{http: POST /one}]\ndo: [{set: {a: 2}}]\noutput: ${{ vars.a }}\n"
    )
    made = folder / "mine"
    left = folder / "unpacked"
    left.mkdir()
    environment = {**environment, "TMPDIR": str(left)}
    bad = flows / "bad.yaml"
    bad.write_text("do: [{cal: log}]\n")
    refused = subprocess.run(
        [str(executable), "bundle", str(flows), "-o", str(made)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "did you mean call?" in refused.stderr and not made.exists(), refused
    bad.unlink()
    subprocess.run([str(executable), "bundle", str(flows), "-o", str(made)], check=True, capture_output=True)
    empty = folder / "empty"
    empty.mkdir()
    daemon = Daemon(empty, env=environment, command=[str(made)])
    shutil.rmtree(daemon.flows)
    log = daemon.log.open("ab")
    daemon.process = subprocess.Popen(
        [str(made), "run", "--listen", "127.0.0.1:0", "--log-format", "json"],
        cwd=empty, stderr=log, env={**os.environ, **environment},
    )  # fmt: skip
    daemon.port = int(daemon.wait_log("daemon.started")["url"].rpartition(":")[2])
    answer = daemon.post("/hooks/one?wait")
    assert (answer.status, answer.json) == (200, 2), answer.raw
    daemon.kill()
    eventually(lambda: not alive(daemon.pid), 30, "the second process lives on")
    behind = {path.name for path in left.iterdir()}
    assert any(name.startswith("_MEI") for name in behind), behind
    place = daemon.log.stat().st_size
    daemon.process = subprocess.Popen(
        [str(made), "run", "--listen", "127.0.0.1:0", "--log-format", "json"],
        cwd=empty, stderr=log, env={**os.environ, **environment},
    )  # fmt: skip
    daemon.wait_log("daemon.started", place)
    assert not behind & {path.name for path in left.iterdir()}, "what the killed one unpacked is left behind"
    assert daemon.stop() == 0
    assert not list(left.iterdir()), list(left.iterdir())
    log.close()
    whole = made.read_bytes()
    stripped = folder / "stripped"
    subprocess.run(["strip", "-o", str(stripped), str(made)], check=True)
    for name, data in (
        ("cut", whole[:-100]),
        ("changed", whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:]),
        ("stripped", None),
    ):
        broken = folder / name
        if data is not None:
            broken.write_bytes(data)
            broken.chmod(0o755)
        for arguments in ([], ["run"]):
            done = subprocess.run(
                [str(broken), *arguments], cwd=empty, capture_output=True, text=True, check=False, timeout=60,
                env={**os.environ, **environment},
            )  # fmt: skip
            assert done.returncode == 2 and "reactor bundle" in done.stderr, (name, done)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def main() -> int:
    executable = Path(sys.argv[1]).resolve()
    brokers = start_brokers()
    try:
        return smoke(executable, brokers)
    finally:
        for one in brokers.values():
            one.close()


def smoke(executable: Path, brokers: dict[str, services.Service]) -> int:
    passed = 0
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        base = Path(name)
        tools = base / "bin"
        tools.mkdir()
        for tool in ("sh", "env"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        (base / "tmp").mkdir()
        environment = {"PATH": str(tools), "TMPDIR": str(base / "tmp")}
        checks: tuple[Callable[[], object], ...] = (
            lambda: print(
                f"start to first answer: {min(start_time(executable, _folder(base, f's{i}')) for i in range(3)):.2f} s"
            ),
            lambda: triggers(executable, _folder(base, "t"), environment, brokers),
            lambda: examples(executable, _folder(base, "e"), environment),
            lambda: bundle(executable, _folder(base, "b"), environment),
        )
        for check in checks:
            check()
            passed += 1
    print(f"smoke: {passed} passed, 0 failed")
    return 0


def _folder(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
