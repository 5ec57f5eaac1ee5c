"""What the API answers, held against answers that were kept: fields, their order and what is left out are a contract.

After a change that is meant: remove `answers.txt`, run the test twice, and read the difference.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.daemon import COMMAND, Daemon, eventually

KEPT = Path(__file__).parent / "answers.txt"
FLOWS = {
    "order.yaml": "flow: order\ndescription: takes orders\nlabels: {team: shop}\n"
    "when: [{http: POST /order}, {event: 'order.*'}]\nonly_if: default(event.data.n, 1) > 0\n"
    "do: [{id: made, call: uuid}, {queue: jobs, data: 1}]\noutput: {a: 1}\n",
    "off.yaml": "flow: off\nenabled: false\nwhen: [manual]\ndo: []\n",
    "loop.yaml": "flow: loop\nwhen: [manual]\ndo:\n  - foreach: 'range(120)'\n    do: [{set: {x: item}}]\n",
    "waits.yaml": "flow: waits\nwhen: [manual]\ndo: [{name: long, wait: 1h}]\n",
    "fails.yaml": "flow: fails\nwhen: [{http: POST /fails}]\ndo: [{call: file.read, with: {path: none}}]\n",
    "wrong.yaml": "flow: wrong\nwhen: [manual]\ndo: [{set: {x: 1}}, {if: 'vars.x / 0 > 1', then: []}]\n",
    "inputs.yaml": "flow: inputs\nwhen: [{manual: {inputs: {type: object, required: [a]}}}]\ndo: []\n",
    "typed.yaml": "flow: typed\nwhen: [{event: typed, accepts: {type: object}}]\ndo: []\n",
    "broken.yaml": "flow: broken\nwhen: [{http: POST /x}]\ndo: [{no: such}]\n",
    "timer.yaml": "flow: timer\nwhen: [{every: 1h}]\ndo: []\n",
    "connections/api.yaml": "kind: http\nsettings: {url: 'http://127.0.0.1:1'}\n",
}
PLUGIN = (
    "plugin: tool\nversion: '1.0'\nsummary: A tool.\nprotocol: script\ncommand: [cat]\nactions: {a: {summary: A}}\n"
)
SENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.made", "data": {"n": 1}}
READS = (
    "/healthz", "/readyz", "/api/v1/stats", "/api/v1/configuration", "/api/v1/runs", "/api/v1/runs?limit=1",
    "/api/v1/runs?status=waiting", "/api/v1/runs?limit=0", "/api/v1/runs?status=done", "/api/v1/runs?since=x",
    "/api/v1/events", "/api/v1/events?type=typed&limit=2", "/api/v1/dead-letters", "/api/v1/flows",
    "/api/v1/flows/order", "/api/v1/flows/none", "/api/v1/flows/order/versions", "/api/v1/triggers",
    "/api/v1/connections", "/api/v1/plugins", "/api/v1/queues", "/api/v1/actions/uuid", "/api/v1/actions/http.post",
    "/api/v1/actions/none", "/api/v1/webhooks", "/api/v1/runs/none", "/api/v1/events/none", "/api/v1/runs/run_0",
    "/api/v1/stream?facts=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("answers")
    tool = folder / "plugins" / "tool"
    tool.mkdir(parents=True)
    (tool / "plugin.yaml").write_text(PLUGIN)
    one = Daemon(folder, "--plugins", str(folder / "plugins"), "--retention-bytes", "1GiB", "--secrets", "none")
    for name, text in FLOWS.items():
        one.flow(name, text)
    with one:
        yield one


def plain(daemon: Daemon, text: str) -> str:
    """The answer without what differs from day to day and machine to machine."""
    text = text.replace(str(daemon.folder), "FOLDER")
    text = re.sub(r"(run|evt|msg)_[0-9a-f]{4,32}", r"\1_ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID", text)
    text = re.sub(r"[0-9a-f]{64}|(?<=\"flows\":\")[0-9a-f]+", "HASH", text)
    return re.sub(r'"next":"\d+"', '"next":"PLACE"', text)


def measured(text: str) -> str:
    """Times and sizes, which are never the same."""
    return re.sub(r'"(\w*p50|\w*p99|bytes|in_memory)":[^,}]+', r'"\1":N', text)


def dead_letter(daemon: Daemon) -> str:
    """The id of an event that nobody can read: what was pushed is damaged before a flow takes it."""
    daemon.post("/api/v1/queues/letters", {"n": 1})
    with contextlib.closing(apsw.Connection(str(daemon.data / "reactor.db"))) as store:
        store.execute("UPDATE queue SET data = x'7b' WHERE queue = 'letters'")
    daemon.flow("letters.yaml", "flow: letters\nwhen: [{queue: letters}]\ndo: []\n")
    found: list[dict[str, str]] = []

    def look() -> bool:
        found[:] = daemon.get("/api/v1/dead-letters")["items"]
        return bool(found)

    eventually(look, 30, "no dead letter")
    return found[0]["id"]


def answers(daemon: Daemon) -> Iterator[str]:
    """One line for each request: what was asked, the status, and the body."""

    def ask(method: str, path: str, data: object = None, kind: str = "application/json") -> str:
        raw = data if isinstance(data, bytes) else None if data is None else json.dumps(data).encode()
        answer = daemon.request(method, path, raw=raw, headers={"Content-Type": kind} if raw is not None else {})
        body = measured(answer.raw.decode()) if path == "/api/v1/stats" else answer.raw.decode()
        place = f" {answer.headers['location']}" if "location" in answer.headers else ""
        return plain(daemon, f"{method} {path} {answer.status}{place} {body}")

    def started(path: str) -> str:
        return str(daemon.post(path).json["runs"][0]["id"])

    waits, loop, failed, wrong = (
        started(path) for path in ("/api/v1/flows/waits/runs", "/api/v1/flows/loop/runs", "/hooks/fails",
                                   "/api/v1/flows/wrong/runs")
    )  # fmt: skip
    daemon.wait_run(waits, "waiting")
    for run in (loop, failed, wrong):
        daemon.wait_run(run)
    events, cloud = "/api/v1/events", "application/cloudevents+json"
    yield ask("POST", "/hooks/order?wait", {"n": 1})
    yield ask("POST", f"{events}?wait", {**SENT, "id": "2", "data": {"n": 0}}, cloud)
    yield ask("POST", events, SENT, cloud)
    yield ask("POST", f"{events}?wait=30s", SENT, cloud)
    yield ask("POST", f"{events}?type=nothing&wait", {})
    yield ask("POST", events, [SENT, {"no": "event"}, {**SENT, "id": "3", "type": "reactor.x"}],
              "application/cloudevents-batch+json")  # fmt: skip
    yield ask("POST", events, b'{"a"\n', "application/x-ndjson")
    yield ask("POST", events, b"{", cloud)
    yield ask("POST", events, {**SENT, "id": "4", "type": "typed", "data": 1}, cloud)
    letter = dead_letter(daemon)
    for data in (b"[1]", None, {"data": {"a": 1}}):
        yield ask("POST", f"/api/v1/dead-letters/{letter}/replay", data)
    yield ask("POST", "/api/v1/dead-letters/evt_1/replay")
    for path, body in (
        ("order/runs?wait", {"n": 1}), ("off/runs", {}), ("inputs/runs", {}), ("inputs/runs", {"a": 1}), ("none/runs", {}),
    ):  # fmt: skip
        yield ask("POST", f"/api/v1/flows/{path}", body)
    yield ask("POST", "/api/v1/queues/jobs", {"n": 1})
    yield ask("POST", "/api/v1/queues/Bad", {"n": 1})
    yield ask("POST", "/api/v1/connections/api/check")
    yield ask("POST", "/api/v1/connections/none/check")
    yield ask("POST", "/api/v1/webhooks/enable", {"url": "http://none"})
    yield ask("POST", "/api/v1/webhooks/enable", {})
    yield ask("POST", "/api/v1/reload")
    for run in (waits, loop, failed, wrong):
        for path in ("", "/steps?limit=2", "/steps?under=do/0&limit=2"):
            yield ask("GET", f"/api/v1/runs/{run}{path}")
    event = daemon.get(f"/api/v1/runs/{wrong}")["event"]
    yield ask("GET", f"/api/v1/events/{event}")
    yield ask("GET", f"/api/v1/events/{event}/why")
    for path in READS:
        yield ask("GET", path)
    for run, verb in ((loop, "cancel"), (loop, "retry"), (wrong, "retry"), (waits, "resume"), (failed, "retry")):
        yield ask("POST", f"/api/v1/runs/{run}/{verb}")
    yield ask("POST", f"/api/v1/runs/{waits}/cancel", {"reason": "enough"})
    daemon.wait_run(waits)
    yield ask("GET", f"/api/v1/runs/{waits}")
    for line in daemon.request("GET", "/metrics").raw.decode().splitlines():
        if line.startswith("# HELP reactor_"):
            yield line


@pytest.mark.skipif(COMMAND[0] != sys.executable, reason="the executable has no sources to describe options from")
def test_answers_are_those_that_were_kept(daemon: Daemon) -> None:
    eventually(lambda: daemon.get("/api/v1/plugins")["items"][0]["state"] == "up", 30, "the plugin never came up")
    found = list(answers(daemon))
    if not KEPT.exists():
        KEPT.write_text("\n".join(found) + "\n", "utf-8")
        pytest.fail("there were no answers to compare with; now there are")
    assert found == KEPT.read_text("utf-8").splitlines()
