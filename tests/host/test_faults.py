"""Programs as they are: children that outlive them, stray lines, banners, new versions under load, strict HTTP/2."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually
from tests.host.test_host import KIT, MANIFEST, PLUGINS
from tests.host.test_languages import make as make_template

pytestmark = pytest.mark.limit(300)
RAW = """
import json, os, subprocess, sys, time
def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()
%s
for line in sys.stdin:
    message = json.loads(line)
    id, params = message.get("id"), message.get("params") or {}
    if message["method"] == "handshake":
        send({"id": id, "result": {"protocol": 1, "manifest": os.environ["REACTOR_PLUGIN_MANIFEST"]}})
    elif params.get("action") == "orphan":
        child = subprocess.Popen(["sleep", "600"])
        open(os.environ["PLUGIN_MARKS"], "w").write(str(child.pid))
        os._exit(3)
    elif params.get("action") == "echo":
        print("a stray line of a library")
        os.write(1, b"bytes \\xff\\xfe\\n[1, 2]\\n7\\n")
        send({"id": id, "result": params["input"]})
"""
SCRIPT = """#!/bin/sh
cat > /dev/null
%s
"""
ECHO = "actions:\n  echo: {summary: E., options: {type: object, properties: {n: {}}}}\n  orphan: {summary: O.}\n"


def flow(name: str, plugin: str = "raw", given: str = "{n: '${{ event.body.n }}'}", more: str = "") -> str:
    return (
        f"flow: {name}\nwhen: [{{http: POST /{name}}}]\ndo:\n  - id: it\n    call: {plugin}.{name}\n"
        f"    with: {given}\n{more}output: ${{{{ steps.it }}}}\n"
    )


def put(daemon: Daemon, name: str, protocol: str, code: str, kinds: str = ECHO, timeout: str = "60s") -> Path:
    folder = daemon.folder / "plugins" / name
    folder.mkdir(parents=True)
    manifest = MANIFEST % (name, protocol, sys.executable, kinds)
    (folder / "plugin.yaml").write_text(manifest.replace("timeout: 3s", f"timeout: {timeout}"))
    (folder / "plugin.py").write_text(code)
    return folder


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"), env={"PLUGIN_MARKS": str(tmp_path / "marks")})


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_end_of_the_process_counts_not_that_of_its_pipe(daemon: Daemon) -> None:
    put(daemon, "raw", "jsonrpc", RAW % "")
    daemon.flow("orphan.yaml", flow("orphan", given="{}"))
    daemon.flow("echo.yaml", flow("echo"))
    with daemon:
        assert daemon.post("/hooks/echo?wait", {"n": 1}).json == {"n": 1}
        error = daemon.post("/hooks/orphan?wait", {}).json["error"]
        assert error["type"] == "plugin.down" and error["retryable"], error
        assert daemon.post("/hooks/echo?wait", {"n": 2}).json == {"n": 2}
        child = int((daemon.folder / "marks").read_text())
        eventually(lambda: not alive(child), 30, "what it started lives on")


def test_stray_lines_cost_nothing_and_are_logged(daemon: Daemon) -> None:
    banner = "sys.stdout.buffer.write(b'\\xef\\xbb\\xbfWelcome\\n'); sys.stdout.flush()"
    put(daemon, "raw", "jsonrpc", RAW % banner)
    daemon.flow("echo.yaml", flow("echo"))
    with daemon:
        for number in range(3):
            assert daemon.post("/hooks/echo?wait", {"n": number}).json == {"n": number}
        (shown,) = daemon.get("/api/v1/plugins")["items"]
        assert shown["restarts"] == 0
        for text in (
            "Welcome", "a stray line of a library", "bytes \\\\xff\\\\xfe", "not a JSON-RPC message: [1, 2]",
        ):  # fmt: skip
            eventually(lambda text=text: text in daemon.log.read_text(), 10, f"the log never had {text}")


@pytest.mark.parametrize("language", ["python", "node", "go"])
def test_what_a_kit_plugin_prints_goes_to_the_log(tmp_path: Path, language: str) -> None:
    daemon = Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"))
    folder = make_template(daemon, language, "jsonrpc")
    if language == "python":
        source = folder / "plugin.py"
        text = source.read_text().replace(
            "async def double(input, call):",
            "async def double(input, call):\n    import subprocess\n    print('printed')\n    subprocess.run(['echo', 'by a child'])",
        )
    elif language == "node":
        source = folder / "plugin.mjs"
        text = source.read_text() + "\nconsole.log('printed')\nprocess.stdout.write('by a child\\n')\n"
    else:
        source = folder / "main.go"
        text = source.read_text() + (
            '\nfunc init() {\n\tos.Stdout.WriteString("printed\\n")\n\tchild := exec.Command("echo", "by a child")\n'
            "\tchild.Stdout = os.Stdout\n\tchild.Run()\n}\n"
        )
        text = text.replace("package main\n", 'package main\n\nimport (\n\t"os"\n\t"os/exec"\n)\n', 1)
    assert text != source.read_text()
    source.write_text(text)
    if language == "go":
        import subprocess

        subprocess.run(["go", "build", "-o", "plugin", "."], cwd=folder, check=True, capture_output=True)
    daemon.flow("double.yaml", flow("double", "mine", "{value: '${{ event.body.n }}'}"))
    with daemon:
        assert daemon.post("/hooks/double?wait", {"n": 21}).json == {"result": 42}
        daemon.wait_log("plugin.log", message="printed")
        daemon.wait_log("plugin.log", message="by a child")
        assert "JSON-RPC" not in daemon.log.read_text()


@pytest.mark.parametrize(
    ("output", "logged"),
    [
        ("""printf '\\357\\273\\277{"result": {"n": 1}}'""", None),
        ("""echo Welcome to this program; echo '{"result": {"n": 1}}'""", "Welcome to this program"),
        ("""echo '{"result":'; echo '  {"n": 1}}'; echo goodbye""", "goodbye"),
        ("""printf 'caf\\351\\n'; echo '{"result": {"n": 1}}'""", "caf\\xe9"),
        ("""(sleep 600 & echo $! > "$PLUGIN_MARKS"); echo '{"result": {"n": 1}}'""", None),
    ],
)
def test_a_script_may_have_a_banner_and_leave_a_child(daemon: Daemon, output: str, logged: str | None) -> None:
    folder = put(
        daemon, "raw", "script", "", "actions:\n  echo: {summary: E., options: {type: object, properties: {n: {}}}}\n"
    )
    manifest = folder / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace(f"[{sys.executable}, ./plugin.py]", "[./plugin.sh]"))
    (folder / "plugin.sh").write_text(SCRIPT % output)
    (folder / "plugin.sh").chmod(0o755)
    daemon.flow("echo.yaml", flow("echo"))
    with daemon:
        answer = daemon.post("/hooks/echo?wait", {"n": 1})
        assert answer.status == 200 and answer.json == {"n": 1}, answer.raw
        if logged:
            daemon.wait_log("plugin.log", message=f"a line on stdout that is not the answer: {logged}")


VERSION = """
import asyncio, os, sys
from reactor_plugin import Plugin
plugin = Plugin()
VERSION = %d

@plugin.action
async def echo(input, call):
    return {"version": VERSION, "pid": os.getpid()}

@plugin.action
async def long(input, call):
    with open(os.environ["PLUGIN_MARKS"], "a") as file:
        file.write("begun\\n")
    while not os.path.exists(os.environ["PLUGIN_MARKS"] + ".go"):
        await asyncio.sleep(0.01)
    return {"version": VERSION}

@plugin.trigger
async def count(options, listen):
    number = listen.cursor or 0
    while True:
        number += 1
        await listen.durable(await listen.emit({"n": number, "version": VERSION}, cursor=number))
        await asyncio.sleep(0.02)

plugin.run()
"""
VERSIONED = """actions:
  echo: {summary: E., options: {type: object, properties: {n: {}}}}
  long: {summary: L., result: {type: object}}
triggers:
  count: {summary: C., identity: true, options: {type: object}}
"""


@pytest.mark.parametrize("protocol", ["jsonrpc", "grpc"])
def test_a_new_version_takes_over_without_a_failed_call(daemon: Daemon, protocol: str) -> None:
    folder = put(daemon, "raw", protocol, VERSION % 1, VERSIONED)
    for file in KIT:
        shutil.copy(PLUGINS / file, folder)
    daemon.flow("echo.yaml", flow("echo", given="{}"))
    daemon.flow("long.yaml", flow("long", given="{}"))
    daemon.flow("count.yaml", "flow: count\nwhen: [{raw.count: {}}]\ndo: []\noutput: ${{ event.data }}\n")
    answers: list[Any] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            answer = daemon.post("/hooks/echo?wait", {})
            answers.append(answer.json.get("version", answer.json))

    with daemon:
        assert daemon.post("/hooks/echo?wait", {}).json["version"] == 1
        run = daemon.post("/hooks/long", {}).json["runs"][0]["id"]
        eventually((daemon.folder / "marks").exists, 30, "the long call does not begin")
        thread = threading.Thread(target=work)
        thread.start()
        whole = VERSION % 2
        (folder / "plugin.py").write_text(whole[: len(whole) // 2])  # an editor that writes in two goes
        (folder / "plugin.py").write_text(whole)
        eventually(lambda: 2 in answers, 30, "the changed program is not noticed")
        (folder / "plugin.py").write_text("import sys\nsys.exit('broken')\n")
        refused = daemon.wait_log("plugin.refused")
        assert "the new version does not start" in refused["error"] and "goes on" in refused["error"]
        (daemon.folder / "marks.go").touch()
        assert daemon.wait_run(run)["output"] == {"version": 1}, "the call that was under way ends in its own life"
        before = len(answers)
        eventually(lambda: len(answers) > before + 5, 30, "no more calls")
        stop.set()
        thread.join()
        assert set(answers) == {1, 2} and answers == sorted(answers), answers
        events = daemon.get("/api/v1/runs?flow=count&limit=1000")["items"]
        counted = [item["output"]["n"] for item in events if item["output"]]
        assert sorted(counted) == list(range(1, len(counted) + 1)), "no event is lost or doubled"
        eventually(lambda: 2 in {item["output"]["version"] for item in
                                 daemon.get("/api/v1/runs?flow=count&limit=5&status=succeeded")["items"]},
                   30, "the trigger stays with the old version")  # fmt: skip
        assert daemon.stop() == 0


def test_a_strict_http2_server_takes_our_requests(daemon: Daemon) -> None:
    kinds = "actions:\n  echo: {summary: E., options: {type: object, properties: {n: {}}}}\n"
    folder = put(daemon, "raw", "grpc", (Path(__file__).parent / "strict_server.py").read_text(), kinds)
    shutil.copy(PLUGINS / "pb/plugin_pb2.py", folder)
    daemon.flow("echo.yaml", flow("echo"))
    with daemon:
        answer = daemon.post("/hooks/echo?wait", {"n": 3})
        assert answer.json == {"n": 3}, answer.raw
        assert "refused: the authority" not in daemon.log.read_text()
        assert daemon.stop() == 0
