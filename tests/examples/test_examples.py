"""The examples, on the real daemon, from a copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    shutil.rmtree(one.flows)
    shutil.copytree(EXAMPLES, one.flows, ignore=shutil.ignore_patterns("out", "failed"))
    with one:
        yield one


def test_each_example_has_a_readme_and_loads(daemon: Daemon) -> None:
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert len(folders) == 3 and all((folder / "README.md").exists() for folder in folders)
    items = daemon.get("/api/v1/flows")["items"]
    assert sorted(item["name"] for item in items) == ["csv-to-json", "deploy", "order"]
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
