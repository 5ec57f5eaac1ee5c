"""A run that takes the daemon down with it is found by the next lives, and holds neither the start nor its neighbours."""

from __future__ import annotations

import http.client
import sys
import urllib.error
from pathlib import Path

import pytest

from tests.daemon import Daemon

SHIM = """
import os
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer

def _poison(event, when):
    data = event.event.data
    if isinstance(data, dict) and data.get("poison") == when:
        os._exit(137)

_begin = machine.begin
def begin(plan, event, *arguments, **named):
    _poison(event, "walked")
    return _begin(plan, event, *arguments, **named)
machine.begin = begin

_perform = ActionPerformer.perform
async def perform(self, run, frame, deadline):
    _poison(run.event, "performed")
    return await _perform(self, run, frame, deadline)
ActionPerformer.perform = perform
"""
FLOW = "flow: work\nwhen: [{http: POST /work}]\ndo:\n  - {wait: 1s}\n  - {call: log, with: {message: hello}}\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(SHIM)
    made = Daemon(tmp_path, env={"PYTHONPATH": str(shim)}, command=[sys.executable, "-m", "reactor"])
    made.flow("work.yaml", FLOW)
    return made


def send(daemon: Daemon, poison: str | None) -> str | None:
    """The run, or None when the daemon died of the event."""
    try:
        answer = daemon.post("/hooks/work", {"poison": poison}, headers={"Idempotency-Key": f"key-{poison}"})
    except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
        return None
    return str(answer.json["runs"][0]["id"])


def lives(daemon: Daemon, most: int) -> int:
    """Starts the daemon until it stays; how many lives ended."""
    for number in range(most):
        daemon.start(wait=False)
        assert daemon.process is not None
        try:
            daemon.port = int(daemon.wait_log("daemon.started", daemon.place)["url"].rpartition(":")[2])
            if daemon.process.poll() is None and settled(daemon):
                return number
        except AssertionError:
            assert daemon.process.wait(30) == 137
            continue
        assert daemon.process.wait(30) == 137
    raise AssertionError(f"the daemon ended {most} times")


def settled(daemon: Daemon) -> bool:
    """Whether all runs came to a rest in this life."""
    try:
        while True:
            runs = daemon.get("/api/v1/runs")["items"]
            if all(run["status"] in ("paused", "succeeded", "failed") for run in runs):
                return True
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("when", ["walked", "performed"])
def test_a_poisoned_run_is_paused_and_its_neighbours_go_on(daemon: Daemon, when: str) -> None:
    with daemon:
        good = [daemon.post("/hooks/work", {"n": number}).json["runs"][0]["id"] for number in range(3)]
        if when == "performed":  # a step that runs when the daemon dies three times is left to a person too
            for run in good:
                daemon.wait_run(run)
        bad = send(daemon, when)
        if bad is None:
            assert when == "walked" and daemon.process is not None and daemon.process.wait(30) == 137
            daemon.start()
            bad = send(daemon, when)
            assert bad is not None, "after an unclean end a run is stored before it is walked"
        assert daemon.process is not None and daemon.process.wait(30) == 137
        assert lives(daemon, 6) <= 4
        found = daemon.get(f"/api/v1/runs/{bad}")
        assert found["status"] == "paused"
        assert found["error"]["type"] == ("broken" if when == "walked" else "crashed"), found
        good.append(daemon.post("/hooks/work", {"n": 9}).json["runs"][0]["id"])
        for run in good:
            assert daemon.wait_run(run)["status"] == "succeeded"
        assert daemon.facts(daemon.place) and daemon.wait_log("run.paused", run=bad)
        assert daemon.get("/readyz")["status"] == "ready"
        assert daemon.stop() == 0
