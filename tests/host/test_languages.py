"""The template of each language, as a user gets it, against the real daemon: an action, a trigger, a restart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.daemon import Daemon, eventually

LANGUAGES = (
    ("python", "jsonrpc"), ("node", "jsonrpc"), ("go", "jsonrpc"), ("php", "script"), ("ruby", "script"), ("shell", "script"),
    ("python", "grpc"), ("node", "grpc"), ("go", "grpc"),
)  # fmt: skip
PROGRAMS = {"python": "python3", "node": "node", "go": "go", "php": "php", "ruby": "ruby", "shell": "sh"}


def make(daemon: Daemon, language: str, protocol: str, name: str = "mine") -> Path:
    """`reactor plugin new`, and what its page says to do then."""
    assert shutil.which(PROGRAMS[language]), f"{PROGRAMS[language]} is missing; `make services` installs it"
    folder = daemon.folder / "plugins" / name
    more = ("--protocol", "grpc") if protocol == "grpc" else ()
    done = daemon.cli("plugin", "new", name, "--language", language, "--directory", str(folder.parent), *more)
    assert done.returncode == 0, done.stderr
    assert f"protocol: {protocol}" in (folder / "plugin.yaml").read_text()
    if (language, protocol) == ("node", "grpc"):
        npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, cwd=folder, check=True, capture_output=True)
    if language == "go":
        subprocess.run(["go", "build", "-o", "plugin", "."], cwd=folder, check=True, capture_output=True)
    return folder


def outputs(daemon: Daemon, flow: str) -> list[Any]:
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    try:
        query = "SELECT output FROM runs WHERE flow = ? AND output IS NOT NULL ORDER BY event"
        return [json.loads(row[0]) for row in store.execute(query, (flow,))]
    finally:
        store.close()


@pytest.mark.parametrize(("language", "protocol"), LANGUAGES)
def test_an_action_and_a_trigger(language: str, protocol: str, tmp_path: Path) -> None:
    # the packages of a plugin in Python are those of the python3 that runs it
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    daemon = Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"), env={"PATH": path})
    make(daemon, language, protocol)
    checked = daemon.cli("plugin", "check", str(tmp_path / "plugins/mine"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tried = daemon.cli("plugin", "test", str(tmp_path / "plugins/mine"), "double", "--input", '{"value": 4}')
    assert json.loads(tried.stdout) == {"result": 8}, tried.stderr
    daemon.flow(
        "double.yaml",
        "flow: double\nwhen: [{http: POST /double}]\ndo: [{id: d, call: mine.double, with: {value: '${{ event.body.n }}'}}]\noutput: ${{ steps.d.result }}\n",
    )
    daemon.flow(
        "ticks.yaml",
        "flow: ticks\nwhen: [{mine.ticks: {count: 12, period: 0}}]\ndo: []\noutput: ${{ event.data.n }}\n",
    )
    with daemon:
        assert daemon.post("/hooks/double?wait", {"n": 21}).json == 42
        eventually(lambda: len(outputs(daemon, "ticks")) >= 5, 30, "no ticks")
        daemon.kill()
        daemon.start()
        eventually(lambda: len(outputs(daemon, "ticks")) >= 12, 30, "no more ticks")
        assert outputs(daemon, "ticks") == list(range(1, 13)), "each once, in order, over a kill"
        (shown,) = daemon.get("/api/v1/plugins")["items"]
        assert (shown["name"], shown["state"], shown["actions"], shown["triggers"]) == (
            "mine",
            "up",
            ["mine.double"],
            ["mine.ticks"],
        )
        listed = daemon.cli("plugin", "list")
        assert "mine" in listed.stdout and "up" in listed.stdout
