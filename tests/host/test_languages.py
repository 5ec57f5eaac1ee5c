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

pytestmark = pytest.mark.limit(300)
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


TYPED = """import {publish, Failure, type Action, type Trigger} from './reactor-plugin.mjs'

const double: Action<{value: number}, {result: number}> = async (input, call) => {
  if (input.value > 1e9) throw new Failure('too large', {type: 'mine.limit', retryable: false})
  call.log(`${call.flow} ${call.step} ${call.attempt}`, 'debug')
  call.progress(50)
  return {result: input.value * 2}
}
const ticks: Trigger<{count: number}, number> = async ({count}, listen) => {
  for (let n = (listen.cursor ?? 0) + 1; n <= count && !listen.signal.aborted; n++) {
    await listen.durable(await listen.emit({data: {n}, key: `${n}`}, n))
  }
}
export const actions = {double, told: async () => (await publish('mine.opened', {n: 1}, {key: 'k'})).runs}
export const triggers = {ticks}
"""
WRONG = (
    (
        "return {result: input.value * 2}",
        "return {result: String(input.value)}",
        "'string' is not assignable to type 'number'",
    ),
    ("call.progress(50)", "call.progress('half')", "'string' is not assignable to parameter of type 'number'"),
    ("{data: {n}, key: `${n}`}", "{data: {n}, kee: `${n}`}", "'kee' does not exist"),
    ("'debug'", "'loud'", "'\"loud\"' is not assignable"),
)


def test_a_plugin_in_typescript(tmp_path: Path) -> None:
    """Its types, by the real compiler: what is right runs, what is wrong is said."""
    daemon = Daemon(tmp_path)
    folder = make(daemon, "node", "jsonrpc")
    npm = [
        "npm",
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(tmp_path),
        "typescript@5.9.3",
    ]
    subprocess.run(npm, cwd=tmp_path, check=True, capture_output=True)

    def compile(text: str) -> subprocess.CompletedProcess[str]:
        (folder / "plugin.mts").write_text(text)
        options = ["--strict", "--module", "nodenext", "--target", "es2022", "--typeRoots", str(folder)]
        program = tmp_path / "node_modules/.bin/tsc"
        return subprocess.run([program, *options, "plugin.mts"], cwd=folder, capture_output=True, text=True)

    for right, wrong, said in WRONG:
        assert right in TYPED
        done = compile(TYPED.replace(right, wrong))
        assert done.returncode != 0 and said in done.stdout, done.stdout
    (folder / "plugin.mjs").unlink()
    done = compile(TYPED)
    assert done.returncode == 0, done.stdout
    checked = daemon.cli("plugin", "check", str(folder))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tried = daemon.cli("plugin", "test", str(folder), "double", "--input", '{"value": 4}')
    assert json.loads(tried.stdout) == {"result": 8}, tried.stderr


SAYS = {
    "go": """package main

import "context"

func main() {
	Serve(Plugin{Actions: map[string]Action{"double": func(call *Call) (any, error) {
		call.Log("warning", "told from go")
		call.Progress(50, "half")
		return Publish(context.Background(), Event{Type: "mine.opened", Data: map[string]any{"n": 7}, Key: "k"})
	}}})
}
""",
    "node": """import {publish} from './reactor-plugin.mjs'
export const actions = {double: async (input, call) => {
  call.log('told from node', 'warning')
  call.progress(50, 'half')
  return publish('mine.opened', {n: 7}, {key: 'k'})
}}
""",
}
PLACES = {"go": "main.go", "node": "plugin.mjs"}


@pytest.mark.parametrize("protocol", ["jsonrpc", "grpc"])
@pytest.mark.parametrize("language", sorted(SAYS))
def test_what_a_plugin_says_by_itself(language: str, protocol: str, tmp_path: Path) -> None:
    """Logs, progress and events; those of Python are in test_host.py."""
    daemon = Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"), "--log-level", "debug")
    folder = make(daemon, language, protocol)
    (folder / PLACES[language]).write_text(SAYS[language])
    if language == "go":
        subprocess.run(["go", "build", "-o", "plugin", "."], cwd=folder, check=True, capture_output=True)
    flow = "flow: say\nwhen: [{http: POST /say}]\ndo: [{id: d, call: mine.double, with: {value: 1}}]\noutput: ${{ steps.d }}\n"
    daemon.flow("say.yaml", flow)
    daemon.flow("heard.yaml", "flow: heard\nwhen: [{event: mine.opened}]\ndo: []\noutput: ${{ event.data.n }}\n")
    with daemon:
        answer = daemon.post("/hooks/say?wait", {}).json
        assert answer["runs"] == 1 and answer["event"].startswith("evt_"), answer
        eventually(lambda: outputs(daemon, "heard") == [7], 30, "its event started nothing")
        daemon.wait_log("plugin.log", message=f"told from {language}")
        daemon.wait_log("plugin.progress", percent=50, message="half")
        assert daemon.stop() == 0
