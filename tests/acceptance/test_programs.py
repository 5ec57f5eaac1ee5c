"""Programs of the daemon: they end with it, even when it is killed, and what they left is ended before their second life."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.survivors import FILE, Record, Running, boot, end_all, stat_of
from tests.daemon import COMMAND, Daemon, eventually

TOOL = """#!/bin/sh
echo $$ >> "$1/leaders"
sleep 600 &
echo $! >> "$1/children"
wait
"""
PLUGIN = """
import json, os, subprocess, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "handshake":
        result = {"protocol": 1, "manifest": os.environ["REACTOR_PLUGIN_MANIFEST"]}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
    elif message.get("method") == "act":
        subprocess.run([os.environ["MARKS"] + "/tool", os.environ["MARKS"]])
"""


def lives(pid: int) -> bool:
    found = stat_of(pid)
    return found is not None and found.state != "Z"


def numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.daemon
@pytest.mark.parametrize("kind", ["shell", "script", "plugin"])
def test_nothing_runs_beside_its_second_life(tmp_path: Path, kind: str) -> None:
    tool = tmp_path / "tool"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    options = ["--allow", "shell", "--allow", "script"]
    calls = {
        "shell": f"call: shell.run, with: {{argv: ['{tool}', '{tmp_path}']}}, repeat: keyed",
        "script": f"call: script.shell, with: {{file: '{tool}', args: ['{tmp_path}']}}",
        "plugin": "call: busy.work, with: {}, repeat: keyed",
    }
    if kind == "plugin":
        folder = tmp_path / "plugins" / "busy"
        folder.mkdir(parents=True)
        (folder / "plugin.py").write_text(PLUGIN)
        (folder / "plugin.yaml").write_text(
            f"plugin: busy\nversion: '1'\nprotocol: jsonrpc\ncommand: [{shutil.which('python3')}, ./plugin.py]\nenv: [MARKS]\n"
            "actions: {work: {summary: Works.}}\n"
        )
        options += ["--plugins", str(folder.parent)]
    daemon = Daemon(tmp_path, *options, env={"MARKS": str(tmp_path)})
    daemon.flow("a.yaml", f"flow: a\nwhen: [manual]\ndo: [{{{calls[kind]}}}]\n")
    leaders, children = tmp_path / "leaders", tmp_path / "children"
    with daemon:
        daemon.post("/api/v1/flows/a/runs", {})
        eventually(lambda: len(numbers(children)) == 1, 20, "the program did not start")
        daemon.kill()
        assert (daemon.data / FILE).exists()
        eventually(lambda: kind == "plugin" or not lives(numbers(leaders)[0]), 10, "the program lives on")
        assert lives(numbers(children)[0]), "what the program started is out of the kernel's reach"
        daemon.start()
        assert not lives(numbers(leaders)[0]) and not lives(numbers(children)[0])
        assert daemon.wait_log("program.killed", daemon.place)["pid"]
        eventually(lambda: len(numbers(children)) == 2, 20, "there was no second life")
        daemon.stop()
    for pid in numbers(leaders) + numbers(children):
        eventually(lambda pid=pid: not lives(pid), 10, "a program outlives a daemon that was stopped")
    assert not (daemon.data / FILE).exists()


@pytest.mark.daemon
def test_orphans_are_reaped_by_the_first_process(tmp_path: Path) -> None:
    """A container's process 1 is made here with prctl(2): orphans come to it in the same way."""
    PR_SET_CHILD_SUBREAPER = 36
    daemon = Daemon(tmp_path, "--allow", "script")
    daemon.command = [
        sys.executable, "-c",
        f"import ctypes, os, sys; ctypes.CDLL(None).prctl({PR_SET_CHILD_SUBREAPER}, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])",
        *COMMAND,
    ]  # fmt: skip
    code = "(sh -c 'sleep 0.2' & echo $! >> orphans) ; (sleep 600 & echo $! >> orphans)"
    daemon.flow(
        "a.yaml",
        f'flow: a\nwhen: [manual]\ndo: [{{call: script.shell, with: {{cwd: {tmp_path}, code: "{code}"}}}}]\n',
    )
    with daemon:
        run = daemon.post("/api/v1/flows/a/runs", {}).json["runs"][0]["id"]
        assert daemon.wait_run(run)["status"] == "succeeded"
        short, long = numbers(tmp_path / "orphans")
        eventually(lambda: stat_of(short) is None, 20, "an orphan was not reaped")
        assert lives(long)
        os.kill(long, signal.SIGKILL)
        eventually(lambda: stat_of(long) is None, 20, "an orphan was not reaped")


def group(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A program with a child, both in a group of their own."""
    code = "sleep 600 & echo $! > part; mv part child; wait"
    env = {**os.environ, "REACTOR_RUN": "run_7"}
    made = subprocess.Popen(["sh", "-c", code], cwd=folder, start_new_session=True, env=env)
    eventually((folder / "child").exists, 20, "the child did not start")
    return made, int((folder / "child").read_text())


def test_only_what_was_recorded_is_ended(tmp_path: Path) -> None:
    made, child = group(tmp_path)
    found = stat_of(made.pid)
    assert found is not None
    good = Running(pid=made.pid, start=found.start, boot=boot(), mark="REACTOR_RUN=run_7")
    for other in (
        Running(pid=made.pid, start=found.start + 1, boot=boot(), mark="REACTOR_RUN=run_8"),
        Running(pid=made.pid, start=found.start, boot="another boot", mark="REACTOR_RUN=run_7"),
        Running(pid=1, start=0, boot=boot(), mark=""),
    ):
        assert end_all([other], boot()) == [] and lives(made.pid) and lives(child)
    made.kill()
    made.wait()
    other = Running(pid=made.pid, start=found.start, boot=boot(), mark="REACTOR_RUN=run_8")
    assert end_all([other], boot()) == [] and lives(child), "another's group may have the number by now"
    assert end_all([good], boot()) == [good] and not lives(child)


def test_a_record_that_was_cut_is_read(tmp_path: Path) -> None:
    made, child = group(tmp_path)
    record = Record()
    assert record.keep(tmp_path) == []
    record.add(record.note(made.pid, "REACTOR_RUN=run_7"))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'not JSON\n{"pid": 12')
    (ended,) = Record().keep(tmp_path)
    assert ended.pid == made.pid and not lives(child)
    made.wait()
    record.remove(made.pid)
    assert not (tmp_path / FILE).exists() and not record.running
