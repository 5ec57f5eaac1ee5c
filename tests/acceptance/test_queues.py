"""Named durable queues in the real daemon: in order, so many at once, through a kill, each exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.daemon import Daemon, eventually

WORKER = (
    "flow: worker\nwhen: [{queue: {name: jobs, at_once: 2}}]\ndo:\n"
    "  - {call: file.append, with: {path: 'seen/${{ event.data.n }}', text: x}}\n  - {wait: '%s'}\noutput: ${{ event.data.n }}\n"
)
PUSHER = (
    "flow: pusher\nwhen: [{http: POST /push}]\ndo:\n  - foreach: event.body.numbers\n    do:\n"
    "      - {id: q, queue: jobs, data: {n: '${{ item }}'}}\n      - {set: {last: '${{ steps.q.message }}'}}\noutput: ${{ vars.last }}\n"
)


def test_messages_wait_for_a_flow_and_run_two_at_once(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("pusher.yaml", PUSHER)
    with daemon:
        pushed = daemon.post("/hooks/push?wait", {"numbers": list(range(5))})
        assert pushed.json.startswith("msg_")
        assert daemon.get("/api/v1/queues")["items"][0]["waiting"] == 5
        done = daemon.cli("queues", "push", "jobs", "--data", '{"n": 5}', "--key", "five")
        assert (
            done.returncode == 0
            and done.stdout == daemon.cli("queues", "push", "jobs", "--data", '{"n": 6}', "--key", "five").stdout
        )
        assert daemon.get("/api/v1/queues")["items"][0]["waiting"] == 6
        assert "jobs" in daemon.cli("queues").stdout
        daemon.flow("worker.yaml", WORKER % "1h")
        eventually(lambda: daemon.get("/api/v1/queues")["items"][0]["active"] == 2, 10, "two at work")
        (item,) = daemon.get("/api/v1/queues")["items"]
        assert item["waiting"] == 4
        daemon.kill()
        daemon.start()
        eventually(
            lambda: (daemon.flows / "seen").is_dir() and len(list((daemon.flows / "seen").iterdir())) == 2, 10, "two"
        )
        (item,) = daemon.get("/api/v1/queues")["items"]
        assert (item["waiting"], item["active"]) == (4, 2), "places are derived from rows, not counted"
        for run in daemon.get("/api/v1/runs?flow=worker")["items"]:
            daemon.post(f"/api/v1/runs/{run['id']}/cancel")
        eventually(lambda: len(list((daemon.flows / "seen").iterdir())) == 4, 10, "the next two")
        assert {p.name for p in (daemon.flows / "seen").iterdir()} == {"0", "1", "2", "3"}


def test_each_message_once_through_a_kill(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("pusher.yaml", PUSHER)
    daemon.flow("worker.yaml", WORKER % "1ms")
    count = 300
    with daemon:
        assert daemon.post("/hooks/push?wait", {"numbers": list(range(count))}).status == 200
        daemon.kill()
        daemon.start()
        eventually(lambda: not daemon.get("/api/v1/queues")["items"], 30, "the queue is not worked off")
        runs = [run for page in pages(daemon) for run in page]
    assert sorted(run["output"] for run in runs) == list(range(count)), "each exactly once"
    assert {run["status"] for run in runs} == {"succeeded"}


def pages(daemon: Daemon) -> list[list[dict[str, Any]]]:
    found, cursor = [], ""
    while True:
        page = daemon.get(f"/api/v1/runs?flow=worker&limit=1000{cursor}")
        found.append(page["items"])
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def test_a_disabled_flow_leaves_the_messages_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("worker.yaml", "enabled: false\n" + WORKER % "1ms")
    with daemon:
        assert daemon.cli("queues", "push", "jobs", "--data", '{"n": 1}').returncode == 0
        assert not [item for item in daemon.get("/api/v1/triggers")["items"] if item["kind"] == "queue"]
        assert daemon.get("/api/v1/queues")["items"][0]["waiting"] == 1
        daemon.flow("worker.yaml", WORKER % "1ms")
        eventually(lambda: not daemon.get("/api/v1/queues")["items"], 20, "not taken once it is enabled")


def test_what_is_no_queue(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    (daemon.flows / "a.yaml").write_text(
        "flow: a\nwhen: [{queue: {name: 'A B', at_once: 0}}]\ndo: [{queue: 'no name'}, {queue: jobs, dat: 1}]\n"
    )
    (daemon.flows / "b.yaml").write_text("flow: b\nwhen: [{queue: {name: q, at_once: 1}}]\ndo: []\n")
    (daemon.flows / "c.yaml").write_text("flow: c\nwhen: [{queue: q}]\ndo: []\n")
    done = daemon.cli("check", str(daemon.flows))
    assert done.returncode == 1
    for text in (
        "'A B' is not made of",
        "at_once is from 1 to",
        "'no name' is not made of",
        "no key dat",
        "has other options here",
    ):
        assert text in done.stdout, (text, done.stdout)
    (daemon.flows / "a.yaml").write_text("flow: a\nwhen: [{http: POST /a}]\ndo: [{queue: '${{ event.body.q }}'}]\n")
    with daemon:
        answer = daemon.post("/hooks/a?wait", {"q": "../x"})
        assert answer.status == 500 and "is no name of a queue" in answer.json["detail"]
        assert daemon.post("/api/v1/queues/No%20Name", {}).status == 404
        assert (
            daemon.request("POST", "/api/v1/queues/jobs", raw=b"{", headers={"Content-Type": "application/json"}).status
            == 400
        )
