"""The examples, on the real daemon, from a copy."""

from __future__ import annotations

import hmac
import http.server
import io
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually
from tests.mail import MailServer

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    secrets = {"REACTOR_SECRET_GITHUB_WEBHOOK": "hook-secret", "REACTOR_SECRET_GITHUB_TOKEN": "token-secret"}
    one = Daemon(tmp_path, env=secrets)
    shutil.rmtree(one.flows)
    shutil.copytree(EXAMPLES, one.flows, ignore=shutil.ignore_patterns("out", "failed"))
    with one:
        yield one


def test_each_example_has_a_readme_and_loads(daemon: Daemon) -> None:
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert len(folders) == 10 and all((folder / "README.md").exists() for folder in folders)
    items = daemon.get("/api/v1/flows")["items"]
    assert sorted(item["name"] for item in items) == [
        "claimed-jobs", "csv-to-json", "deploy", "from-kafka", "health", "health-alert", "invoices", "mariadb-prices",
        "mqtt-blinds", "nats-prices", "order", "postgres-orders", "rabbitmq-mails", "redis-jobs", "report", "sensor",
        "sensor-alarm", "triage", "visits",
    ]  # fmt: skip
    assert not any(item["problems"] for item in items)


def test_order(daemon: Daemon) -> None:
    order = {"id": "o-1", "customer": "ada", "total": 1000}
    answer = daemon.post("/hooks/orders?wait", order)
    assert (answer.status, answer.json) == (200, {"id": "o-1", "gross": 1190.0, "class": "large"})
    written = json.loads((daemon.flows / "order/out/o-1.json").read_text())
    assert written["order"] == order and written["currency"] == "EUR"
    again = daemon.post("/hooks/orders?wait", order)
    assert again.headers["location"] == answer.headers["location"] and again.json == answer.json
    assert daemon.post("/hooks/orders", {"id": "o-2", "customer": "ada", "total": 0}).json["runs"] == []
    assert daemon.post("/hooks/orders", {"id": "../x", "customer": "ada", "total": 1}).status == 422
    assert daemon.get("/api/v1/events?type=order.taken")["items"]


def test_csv_to_json(daemon: Daemon) -> None:
    inbox = daemon.flows / "csv-to-json/inbox"
    (inbox / "people.csv").write_text("name,age\nAda,36\n")
    (inbox / "broken.csv").write_text("name,age\nAda\n")
    target = daemon.flows / "csv-to-json/out/people.json"
    eventually(target.exists, 10, "no people.json")
    assert json.loads(target.read_text())["rows"] == [{"name": "Ada", "age": "36"}]
    eventually((daemon.flows / "csv-to-json/failed/broken.csv").exists, 10, "broken.csv was not set aside")


def test_deploy(daemon: Daemon) -> None:
    push = {"ref": "refs/heads/main", "after": "abc123"}
    answer = daemon.post("/hooks/deploy?wait", push)
    assert answer.status == 200 and answer.json["commit"] == "abc123"
    assert (daemon.flows / "deploy/out/site.version").read_text() == "abc123"
    other = daemon.post("/hooks/deploy", {"ref": "refs/heads/feature", "after": "x"}).json
    assert other["runs"] == []
    verdicts = {v["flow"]: v["verdict"] for v in daemon.get(f"/api/v1/events/{other['event']}/why")["verdicts"]}
    assert verdicts["deploy"] == "only_if"
    assert daemon.cli("start", "deploy", "--input", json.dumps(push), "--wait").returncode == 0


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_sensor(daemon: Daemon) -> None:
    out = daemon.flows / "sensor/out"
    for celsius in (20, 31.5, 40, 25):
        assert daemon.post("/hooks/sensors/kitchen/temperature?wait", {"celsius": celsius}).status == 200
    daemon.post("/hooks/sensors/attic/temperature?wait", {"celsius": 35})
    eventually(lambda: len(lines(out / "alarms.ndjson")) == 2, 10, "no alarms")
    alarms = [json.loads(line) for line in lines(out / "alarms.ndjson")]
    assert {"room": "kitchen", "celsius": 31.5, "over": 1.5} in alarms and alarms[-1]["room"] == "attic"
    assert [json.loads(line)["celsius"] for line in lines(out / "readings.ndjson")] == [20, 31.5, 40, 25, 35]
    assert daemon.post("/hooks/sensors/kitchen/temperature", {"celsius": "hot"}).status == 422


class Service(http.server.ThreadingHTTPServer):
    """Answers with `status`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(service.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return None

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.close()


def connect(daemon: Daemon, name: str, before: str, after: str) -> None:
    """Lets an example's connection point at a stand-in for the service outside."""
    path = daemon.flows / name
    text = path.read_text()
    assert before in text
    daemon.flow(name, text.replace(before, after))


def test_health(daemon: Daemon, service: Service) -> None:
    service = Service()
    connect(
        daemon, "health/connections/watched.yaml", "http://127.0.0.1:8420", f"http://127.0.0.1:{service.server_port}"
    )
    alerts = daemon.flows / "health/out/alerts.ndjson"

    def look() -> bool:
        daemon.cli("start", "health", "--wait")
        return bool(service.got)

    def asked() -> None:
        """Its schedule may be at it: the flow does not start twice at once."""
        eventually(lambda: daemon.cli("start", "health", "--wait").returncode == 0, 20, "it is always busy")

    eventually(look, 20, "the service is not asked")
    assert lines(alerts) == []
    service.status = 500
    asked()
    asked()
    eventually(lambda: len(lines(alerts)) == 1, 10, "no alert")
    service.status = 200
    asked()
    eventually(lambda: len(lines(alerts)) == 2, 10, "it is not back")
    assert [json.loads(line)["type"] for line in lines(alerts)] == ["service.down", "service.up"]


def test_triage(daemon: Daemon, service: Service) -> None:
    api = service
    connect(daemon, "triage/connections/github.yaml", "https://api.github.com", f"http://127.0.0.1:{api.server_port}")

    def issue(title: str, delivery: str, secret: bytes = b"hook-secret") -> Any:
        body = {
            "action": "opened", "repository": {"full_name": "ada/engine"},
            "issue": {"number": 7, "title": title, "body": None, "user": {"login": "bob", "type": "User"}},
        }  # fmt: skip
        raw = json.dumps(body).encode()
        signature = "sha256=" + hmac.new(secret, raw, "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": delivery}
        return daemon.request(
            "POST", "/hooks/github/issues?wait", raw=raw, headers=headers | {"X-Hub-Signature-256": signature}
        )

    def reached() -> bool:
        return issue("It broke: error 7", f"d-{len(api.got)}-{time.monotonic()}").status == 200 and bool(api.got)

    eventually(reached, 20, "the API is not asked")
    path, headers, sent = api.got[-1]
    assert path == "/repos/ada/engine/issues/7/labels" and json.loads(sent) == {"labels": ["bug"]}
    assert headers["authorization"] == "Bearer token-secret"
    api.got.clear()
    answer = issue("How do I start?", "d-q")
    assert answer.json == {"kind": "question"}
    assert [path.rpartition("/")[2] for path, _, _ in api.got] == ["labels", "comments"]
    again = issue("How do I start?", "d-q")
    assert again.json == {"kind": "question"} and len(api.got) == 2, "a delivery that comes again does nothing"
    assert issue("x", "d-x", b"wrong").status == 401


def test_invoices(daemon: Daemon) -> None:
    folder = daemon.flows / "invoices"
    (folder / "inbox/1.xml").write_text(
        '<i><line sku="a"><amount>1.50</amount></line><line sku="b"><amount>2</amount></line></i>'
    )
    (folder / "inbox/bad.xml").write_text("<i><line>")
    eventually((folder / "archive/1.xml").exists, 10, "not archived")
    eventually((folder / "failed/bad.xml").exists, 10, "not set aside")
    assert lines(folder / "out/lines.csv") == ["1.xml,a,1.50", "1.xml,b,2"]


def test_report(daemon: Daemon, tmp_path: Path) -> None:
    first = json.loads(daemon.cli("start", "report", "--wait").stdout)
    assert first == {"count": 2, "total": 200.0, "sent": False}, "made without a mail server too"
    with MailServer(tmp_path) as server:
        daemon.flow(
            "report/connections/team-mail.yaml",
            f"connection: team-mail\nkind: smtp\nsettings: {{host: localhost, port: {server.port}, user: ada, "
            f"password: s3cret-pass/word, ca: {server.ca}, sender: r@shop.example}}\n",
        )

        def sent() -> bool:
            daemon.cli("start", "report", "--wait")
            return bool(server.inbox.mails)

        eventually(sent, 30, "no mail")
        mail = server.inbox.mails[-1]
        assert mail["Subject"] == "Orders: 2, 200 EUR" or mail["Subject"] == "Orders: 2, 200.0 EUR"
        (part,) = mail.iter_attachments()
        with zipfile.ZipFile(io.BytesIO(part.get_content())) as archive:
            assert archive.read("orders.csv").decode().splitlines()[0] == "id,customer,total"
