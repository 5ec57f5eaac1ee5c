"""What a person reads of runs and events: results, outputs, log lines, shortened ids, times such as 1h, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon

FLOW = """\
flow: keep
when: [{http: POST /keep}]
do:
  - id: made
    call: uuid
  - id: told
    call: log
    with: {message: "the order of ${{ event.body.name }}"}
  - id: long
    set: {text: "${{ event.body.name }}"}
  - if: default(event.body.fail, false)
    then: [{fail: no luck}]
output: {name: "${{ event.body.name }}"}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    for number in range(5):
        daemon.flow(f"deaf{number}.yaml", f"flow: deaf-{number}\nwhen: [{{event: other.{number}}}]\ndo: []\n")
    with daemon:
        yield daemon


def test_a_run_shows_results_log_lines_and_output(daemon: Daemon) -> None:
    run = daemon.post("/hooks/keep?wait", {"name": "Ada"}).headers["location"].rpartition("/")[2]
    text = daemon.cli("runs", "show", run).stdout
    made = json.loads(daemon.cli("runs", "show", run, "--json").stdout)["steps"][0]["result"]
    assert json.dumps(made) in text or str(made) in text
    assert "the order of Ada" in text and '"name": "Ada"' in text and " s\n" in text
    long = daemon.post("/hooks/keep?wait", {"name": "x" * 500}).headers["location"].rpartition("/")[2]
    assert "--json shows all" in daemon.cli("runs", "show", long).stdout
    failed = daemon.post("/hooks/keep?wait", {"name": "Bob", "fail": True}).headers["location"].rpartition("/")[2]
    assert "fail: no luck" in daemon.cli("runs", "show", failed).stdout


def test_ids_may_be_shortened(daemon: Daemon) -> None:
    answer = daemon.post("/hooks/keep", {"name": "Ada"}).json
    run, event = answer["runs"][0]["id"], answer["event"]
    daemon.wait_run(run)
    for short in (run[:-4], run.removeprefix("run_"), run.removeprefix("run_")[:-6]):
        shown = daemon.cli("runs", "show", short)
        assert shown.returncode == 0 and run in shown.stdout, shown.stderr
    assert json.loads(daemon.cli("events", "show", event[4:-4]).stdout)["id"] == event
    assert "keep: started" in daemon.cli("why", event[:-4]).stdout
    assert daemon.cli("runs", "cancel", run[:-4]).stderr.count(run) == 1, "it has ended"
    others = [daemon.post("/hooks/keep", {"name": "Bob"}).json["runs"][0]["id"] for _ in range(3)]
    several = daemon.cli("runs", "show", run[:10])
    assert several.returncode == 1 and f"several runs begin with {run[:10]}" in several.stderr, others
    assert "no run begins with ffffffff" in daemon.cli("runs", "show", "ffffffff").stderr
    for odd in ("", "run_", "nonsense", "%", "run_%2F"):
        assert daemon.cli("runs", "show", odd or "-").returncode in (1, 2)


def test_times_in_the_past_may_be_durations(daemon: Daemon) -> None:
    run = daemon.post("/hooks/keep?wait", {"name": "Ada"}).headers["location"].rpartition("/")[2]
    assert run in daemon.cli("runs", "--since", "1h").stdout
    assert run not in daemon.cli("runs", "--until", "1h").stdout
    assert run in daemon.cli("runs", "list", "--since", "2020-01-01T00:00:00Z").stdout
    wrong = daemon.cli("runs", "--since", "yesterday")
    assert wrong.returncode == 1 and "write a duration such as 1h" in wrong.stderr


def test_why_folds_the_flows_that_do_not_listen(daemon: Daemon) -> None:
    event = daemon.post("/hooks/keep?wait", {"name": "Ada"})
    found = json.loads(daemon.cli("events", "--json").stdout)["items"][0]["id"]
    assert event.status == 200
    text = daemon.cli("why", found).stdout
    assert "keep: started" in text and "5 flows do not listen for this event" in text and "deaf-" not in text
    assert "deaf-3: no_match" in daemon.cli("why", found, "--all").stdout
