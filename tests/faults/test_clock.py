"""The daemon under a wall clock that is set back and forward: durations go on, moments follow the clock."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually

FLOWS = {
    "short.yaml": "flow: short\nwhen: [{http: POST /short}]\ndo: [{wait: 3s}]\n",
    "long.yaml": "flow: long\nwhen: [{http: POST /long}]\ndo: [{wait: 30m}]\n",
    "again.yaml": (
        "flow: again\nwhen: [{http: POST /again}]\n"
        "do: [{call: shell.run, with: {argv: ['false']}, retry: {times: 1, wait: 2s}, on_error: []}]\n"
    ),
    "busy.yaml": (
        "flow: busy\nwhen: [{http: POST /busy}]\n"
        "do:\n  - parallel:\n      a: [{call: shell.run, with: {argv: [sleep, '8']}}]\n      b: [{wait: 3s}, {set: {b: 1}}]\n"
    ),
    "slow.yaml": (
        "flow: slow\nwhen: [{http: POST /slow}]\n"
        "do: [{call: shell.run, with: {argv: [sleep, '60']}, timeout: 2s, on_error: []}]\n"
    ),
    "at.yaml": "flow: at\nwhen: [{http: POST /at}]\ndo: [{wait: {at: event.body.at}}]\n",
}  # fmt: skip
SHIM = """
import os, time
_real, _place = time.time, os.environ["REACTOR_TEST_CLOCK"]
def _offset():
    try:
        with open(_place) as file:
            return float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0
time.time = lambda: _real() + _offset()
"""


class Shimmed(Daemon):
    """A daemon whose wall clock is what a file says it is ahead of the real one."""

    def __init__(self, folder: Path) -> None:
        shim = folder / "shim"
        shim.mkdir()
        (shim / "sitecustomize.py").write_text(SHIM)
        self.clock = folder / "clock"
        super().__init__(
            folder, "--allow", "shell",
            env={"PYTHONPATH": str(shim), "REACTOR_TEST_CLOCK": str(self.clock)},
            command=[sys.executable, "-m", "reactor"],
        )  # fmt: skip
        for name, text in FLOWS.items():
            self.flow(name, text)

    def set(self, ahead: float) -> None:
        partial = self.clock.with_suffix(".new")
        partial.write_text(str(ahead))
        partial.replace(self.clock)

    def begin(self, *names: str) -> dict[str, str]:
        return {name: self.post(f"/hooks/{name}", {}).json["runs"][0]["id"] for name in names}


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_durations_go_on_when_the_clock_is_set(tmp_path: Path, ahead: float) -> None:
    with Shimmed(tmp_path) as daemon:
        runs = daemon.begin("short", "again", "busy", "slow", "long")
        daemon.set(ahead)
        for name in ("short", "again", "slow"):
            assert daemon.wait_run(runs[name], seconds=25)["status"] in ("succeeded", "failed"), name
        more = daemon.begin("short")
        assert daemon.wait_run(more["short"], seconds=25)["status"] == "succeeded"
        assert daemon.wait_run(runs["busy"], seconds=25)["status"] == "succeeded"
        assert daemon.get(f"/api/v1/runs/{runs['long']}")["status"] == "waiting", "half an hour has not passed"
        daemon.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_durations_go_on_over_a_restart_with_another_clock(tmp_path: Path, end: str) -> None:
    with Shimmed(tmp_path) as daemon:
        runs = daemon.begin("short", "long")
        getattr(daemon, end)()
        daemon.set(-3600.0)
        daemon.start()
        assert daemon.wait_run(runs["short"], seconds=25)["status"] == "succeeded"
        more = daemon.begin("short")
        assert daemon.wait_run(more["short"], seconds=25)["status"] == "succeeded"
        created = daemon.get(f"/api/v1/runs/{more['short']}")["created"]
        assert created < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1800)), (
            "people see the wall clock"
        )
        assert daemon.get(f"/api/v1/runs/{runs['long']}")["status"] == "waiting"
        daemon.stop()


def test_a_moment_is_one_of_the_wall_clock(tmp_path: Path) -> None:
    with Shimmed(tmp_path) as daemon:
        at = time.time() + 1800
        run = daemon.post("/hooks/at", {"at": at}).json["runs"][0]["id"]
        daemon.wait_run(run, "waiting")
        daemon.set(1900.0)
        assert daemon.wait_run(run, seconds=25)["status"] == "succeeded"
        later = daemon.post("/hooks/at", {"at": at + 1800}).json["runs"][0]["id"]
        daemon.set(0.0)
        short = daemon.begin("short")["short"]
        assert daemon.wait_run(short, seconds=25)["status"] == "succeeded"
        assert daemon.get(f"/api/v1/runs/{later}")["status"] == "waiting"
        eventually(lambda: daemon.get("/readyz")["store"] == "ok", 5, "the store is not well")
        daemon.stop()
