"""The host and what plugins may do to it: crash, hang, talk garbage, be someone else. Only they pay."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from reactor.app import make_kinds
from reactor.cli.check import add_plugins
from tests.daemon import Daemon, eventually
from tests.host.test_languages import outputs

PLUGINS = Path(__file__).parent.parent.parent / "plugins"
KIT = ("kits/python/reactor_plugin.py", "kits/python/reactor_plugin_grpc.py", "pb/plugin_pb2.py")
MANIFEST = """plugin: %s
protocol: %s
command: [%s, ./plugin.py]
env: [PLUGIN_MARKS]
timeout: 3s
%s
"""
ACTIONS = """
import asyncio, json, os, sys
from reactor_plugin import Failure, Plugin
plugin = Plugin()

@plugin.action
async def echo(input, call):
    print("on stderr", file=sys.stderr, flush=True)
    call.log("told", "warning")
    return {"input": input, "key": call.idempotency_key, "pid": os.getpid()}

@plugin.action
async def mark(input, call):
    with open(os.environ["PLUGIN_MARKS"], "a") as file:
        file.write(call.idempotency_key + "\\n")
    await asyncio.sleep(0.002)
    return {}

@plugin.action
async def crash(input, call):
    os._exit(3)

@plugin.action
async def hang(input, call):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        with open(os.environ["PLUGIN_MARKS"], "a") as file:
            file.write("cancelled\\n")
        raise

@plugin.action
async def garbage(input, call):
    sys.stdout.write("this is no json\\n")
    sys.stdout.flush()
    await asyncio.sleep(60)

@plugin.action
async def deaf(input, call):
    import time
    time.sleep(60)

@plugin.action
async def refuse(input, call):
    raise Failure("no luck", "shop.closed", retryable=False, details={"until": 9})

@plugin.action
async def publish(input, call):
    return await plugin.publish("shop.opened", {"n": 1}, key="k1")

@plugin.trigger
async def count(options, listen):
    number = listen.cursor or 0
    while number < options["to"]:
        number += 1
        await listen.emit({"n": number, "pid": os.getpid()}, cursor=number)
    await asyncio.Event().wait()

@plugin.trigger
async def bad(options, listen):
    await listen.emit({"n": 1}, nonsense=7)
    await asyncio.Event().wait()

plugin.run()
"""
KINDS = """actions:
  echo: {summary: Echoes., options: {type: object, required: [text], properties: {text: {type: string, maxLength: 10}, mode: {enum: [a, b]}}}}
  mark: {summary: Marks.}
  crash: {summary: Crashes.}
  hang: {summary: Hangs.}
  garbage: {summary: Talks garbage.}
  refuse: {summary: Refuses.}
  deaf: {summary: Does not read any more.}
  publish: {summary: Publishes.}
triggers:
  count: {summary: Counts., identity: true, options: {type: object, required: [to], properties: {to: {type: integer}}}}
  bad: {summary: Is bad., options: {type: object}}
"""


def make(daemon: Daemon, name: str = "shop", code: str = ACTIONS, kinds: str = KINDS) -> Path:
    folder = daemon.folder / "plugins" / name
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(code)
    for file in KIT:
        shutil.copy(PLUGINS / file, folder)
    (folder / "plugin.yaml").write_text(MANIFEST % (name, protocol_of(daemon), sys.executable, kinds))
    return folder


def protocol_of(daemon: Any) -> str:
    return str(getattr(daemon, "env", {}).get("PLUGIN_PROTOCOL", "jsonrpc"))


@pytest.fixture(params=["jsonrpc", "grpc"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Daemon:
    """Its plugins are of both protocols that stay, one after the other."""
    env = {"PLUGIN_MARKS": str(tmp_path / "marks"), "PLUGIN_PROTOCOL": request.param}
    return Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"), env=env)


def call(action: str, given: str = "{}", more: str = "") -> str:
    return f"flow: {action}\nwhen: [{{http: POST /{action}}}]\ndo:\n  - id: it\n    call: shop.{action}\n    with: {given}\n{more}output: ${{{{ steps.it }}}}\n"


def pid_of(daemon: Daemon) -> int:
    return int(daemon.post("/hooks/echo?wait", {}).json["pid"])


def test_calls_errors_and_what_a_plugin_says(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("echo.yaml", call("echo", "{text: '${{ default(event.body.t, ''hi'') }}'}"))
    daemon.flow("refuse.yaml", call("refuse"))
    daemon.flow("publish.yaml", call("publish"))
    daemon.flow("heard.yaml", "flow: heard\nwhen: [{event: shop.opened}]\ndo: []\noutput: ${{ event.data.n }}\n")
    with daemon:
        done = daemon.post("/hooks/echo?wait", {}).json
        assert done["input"] == {"text": "hi"} and done["key"].startswith("run_")
        refused = daemon.post("/hooks/refuse?wait", {}).json["error"]
        assert (refused["type"], refused["message"], refused["retryable"], refused["details"]) == (
            "shop.closed",
            "no luck",
            False,
            {"until": 9},
        )
        long = daemon.post("/hooks/echo?wait", {"t": "x" * 11}).json["error"]
        assert long["type"] == "expression" and "10" in long["message"]
        assert daemon.post("/hooks/publish?wait", {}).json["runs"] == 1
        assert daemon.post("/hooks/publish?wait", {}).json["event"].startswith("evt_")
        eventually(lambda: outputs(daemon, "heard") == [1], 30, "its event did not start the flow once")
        log = daemon.log.read_text()
        assert '"message":"on stderr"' in log and '"message":"told"' in log
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("action", "type"), [("crash", "plugin.down"), ("garbage", "plugin.timeout"), ("hang", "plugin.timeout")]
)
def test_what_breaks_costs_only_the_plugin(daemon: Daemon, action: str, type: str) -> None:
    make(daemon)
    daemon.flow("echo.yaml", call("echo", "{text: a}"))
    daemon.flow("it.yaml", call(action))
    with daemon:
        before = pid_of(daemon)
        error = daemon.post(f"/hooks/{action}?wait", {}).json["error"]
        assert error["type"] == type and error["retryable"], error
        after = pid_of(daemon)
        assert (after == before) == (type == "plugin.timeout")
        if action == "hang":
            eventually(lambda: "cancelled" in (daemon.folder / "marks").read_text(), 30, "the call was not cancelled")
        elif action == "garbage":
            assert "this is no json" in daemon.log.read_text(), "a stray line is logged"
        elif type == "plugin.down":
            (shown,) = daemon.get("/api/v1/plugins")["items"]
            assert shown["restarts"] == 1 and shown["state"] == "up"
        assert daemon.stop() == 0


def test_a_plugin_that_does_not_read_holds_nobody_up(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("deaf.yaml", call("deaf"))
    echo = call("echo", "{text: a, mode: a}").replace("mode: a", "large: '${{ event.body.large }}'")
    folder = daemon.folder / "plugins/shop/plugin.yaml"
    folder.write_text(folder.read_text().replace("mode: {enum: [a, b]}", "large: {type: string}"))
    daemon.flow("echo.yaml", echo)
    with daemon:
        assert daemon.post("/hooks/echo?wait", {"large": "x" * 500_000}).json["input"]["text"] == "a"
        assert daemon.post("/hooks/deaf", {}).status == 202
        error = daemon.post("/hooks/echo?wait", {"large": "x" * 500_000}).json["error"]
        assert error["type"] == "plugin.timeout", error
        assert daemon.stop() == 0


def test_another_manifest_or_protocol_is_refused_with_the_reason(daemon: Daemon) -> None:
    folder = make(daemon)
    code = ACTIONS.replace("plugin = Plugin()", "plugin = Plugin()\nplugin._hash = 'sha256:other'")
    (folder / "plugin.py").write_text(code)
    silent = make(
        daemon, "silent", "import sys\nprint('hello', flush=True)\nsys.stdin.read()\n", "actions: {a: {summary: A.}}\n"
    )
    assert silent.exists()
    daemon.flow("other.yaml", "flow: other\nwhen: [{http: POST /other}]\ndo: []\n")
    with daemon:
        assert daemon.post("/hooks/other?wait", {}).status == 200
        eventually(
            lambda: all(item["error"] for item in daemon.get("/api/v1/plugins")["items"]), 30, "no error is shown"
        )
        errors = {item["name"]: item["error"] for item in daemon.get("/api/v1/plugins")["items"]}
        said = "did not answer the handshake"
        assert "sha256:other" in errors["shop"] and said in errors["silent"], errors
        assert daemon.stop() == 0


def test_one_that_does_not_start_is_shown_with_what_it_said(daemon: Daemon) -> None:
    make(daemon, code="import sys\nsys.exit('no such thing as a shop')\n")
    with daemon:
        eventually(
            lambda: daemon.get("/api/v1/plugins")["items"][0]["error"] == "it ended (exit code 1)", 30, "no reason"
        )
        daemon.wait_log("plugin.log", message="no such thing as a shop")
        assert daemon.stop() == 0


def test_manifests_that_are_wrong_are_said(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for text, said in (
        ("plugin: Bad\nprotocol: script\ncommand: [x]\nactions: {a: {summary: A}}\n", "no name"),
        ("plugin: p\nprotocol: script\ncommand: [x]\n", "neither actions nor triggers"),
        ("plugin: p\nprotocol: soap\ncommand: [x]\nactions: {a: {summary: A}}\n", "soap"),
        ("plugin: p\nprotocol: script\ncommand: []\nactions: {a: {summary: A}}\n", "names the program"),
        ("plugin: http\nprotocol: script\ncommand: [x]\nactions: {post: {summary: A}}\n", "Reactor's own"),
        (
            "plugin: p\nprotocol: script\ncommand: [x]\nactions: {a: {summary: A, options: {properties: {x: {type: 7}}}}}\n",
            "no JSON Schema",
        ),
        ("plugin: p\nprotocol: script\ncommand: [x]\ntimeout: soon\nactions: {a: {summary: A}}\n", "timeout"),
        (
            "plugin: p\nprotocol: script\naddress: a:1\ncommand: [x]\nactions: {a: {summary: A}}\n",
            "address: it is for protocol grpc",
        ),
        ("plugin: p\nprotocol: grpc\nactions: {a: {summary: A}}\n", "one of them"),
        ("plugin: p\nprotocol: grpc\naddress: nowhere\ntoken: T\nactions: {a: {summary: A}}\n", "is not host:port"),
        ("plugin: p\nprotocol: grpc\naddress: a:1\nactions: {a: {summary: A}}\n", "token: it names the variable"),
        ("plugin: p\nprotocol: grpc\ncommand: [x]\ntls: {}\nactions: {a: {summary: A}}\n", "tls: it goes with address"),
        (
            "plugin: p\nprotocol: grpc\naddress: a:1\ntoken: T\ntls: {cert: c}\nactions: {a: {summary: A}}\n",
            "cert and key go together",
        ),
        ("plugin: [\n", "plugin.yaml"),
    ):
        (tmp_path / "p/plugin.yaml").write_text(text)
        (tmp_path / "f.yaml").write_text("do: []\n")
        problems = add_plugins(make_kinds(None), [str(tmp_path)])
        assert problems and said in problems[0], (text, problems)


def test_flows_follow_a_plugin_that_comes_changes_and_goes(daemon: Daemon) -> None:
    daemon.flow("echo.yaml", call("echo", "{tekst: a}"))
    with daemon:

        def log() -> str:
            return daemon.log.read_text()

        eventually(lambda: "there is no action shop.echo" in log(), 30, "the flow was not refused")
        folder = make(daemon)
        eventually(lambda: "has no option tekst (did you mean text?)" in log(), 30, "the typo was not found")
        assert "echo.yaml:6:12" in log()
        daemon.flow("echo.yaml", call("echo", "{text: a}"))
        eventually(
            lambda: daemon.request("POST", "/hooks/echo?wait", raw=b"{}").status == 200, 30, "the flow does not run"
        )
        manifest = (folder / "plugin.yaml").read_text()
        (folder / "plugin.yaml").write_text(
            manifest.replace("{text: {type: string, maxLength: 10}", "{text: {type: string}, size: {type: integer}")
        )
        daemon.flow("echo.yaml", call("echo", "{text: a, size: 3}"))
        eventually(
            lambda: daemon.post("/hooks/echo?wait", {}).json.get("input") == {"text": "a", "size": 3},
            10,
            "the new option is not there",
        )
        (folder / "plugin.yaml").write_text("plugin: [")
        eventually(lambda: "plugin not taken" in log(), 30, "the broken manifest is not told")
        assert daemon.post("/hooks/echo?wait", {}).status == 200, "the last good version stays"
        assert daemon.stop() == 0


def test_a_thousand_events_through_kills_of_the_plugin(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("count.yaml", "flow: count\nwhen: [{shop.count: {to: 1000}}]\ndo: []\noutput: ${{ event.data }}\n")
    daemon.flow("echo.yaml", call("echo", "{text: a}"))
    with daemon:
        for share in (100, 400, 700):
            eventually(lambda share=share: len(outputs(daemon, "count")) > share, 30, "it stands still")
            (found, *_) = outputs(daemon, "count")[-1:]
            with contextlib.suppress(ProcessLookupError):
                os.kill(found["pid"], signal.SIGKILL)
        eventually(lambda: len(outputs(daemon, "count")) >= 1000, 60, "not all came")
        assert [one["n"] for one in outputs(daemon, "count")] == list(range(1, 1001)), "each once, in order"
        assert len({one["pid"] for one in outputs(daemon, "count")}) > 1, "it was killed in the middle"
        assert daemon.stop() == 0


def test_a_thousand_calls_through_kills_of_the_plugin(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("mark.yaml", call("mark", "{}", "    retry: {times: 20, wait: 50ms..500ms}\n"))
    daemon.flow("echo.yaml", call("echo", "{text: a}", "    retry: {times: 20, wait: 50ms}\n"))
    marks = daemon.folder / "marks"
    marks.write_text("")
    with daemon:

        def send() -> None:
            for _ in range(250):
                assert daemon.post("/hooks/mark", {}).status == 202

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for share in (100, 400, 700):
            eventually(lambda share=share: len(marks.read_text().split()) > share, 30, "it stands still")
            os.kill(pid_of(daemon), signal.SIGKILL)
        for thread in threads:
            thread.join()
        eventually(lambda: len(ended(daemon)) >= 1000, 60, f"only {len(ended(daemon))} ended")
        assert set(ended(daemon)) == {"succeeded"} and len(ended(daemon)) == 1000
        counted = collections.Counter(marks.read_text().split())
        runs = {key.partition("/")[0] for key in counted}
        assert len(runs) == len(counted) == 1000, "one key a run, each run performed"
        assert daemon.stop() == 0


def ended(daemon: Daemon) -> list[str]:
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    try:
        return [row[0] for row in store.execute("SELECT status FROM runs WHERE flow = 'mark' AND ended IS NOT NULL")]
    finally:
        store.close()


def test_an_event_that_is_none_ends_the_listening_with_the_reason(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("bad.yaml", "flow: bad\nwhen: [shop.bad]\ndo: []\n")
    with daemon:
        eventually(lambda: "has no nonsense" in json.dumps(daemon.get("/api/v1/triggers")), 30, "no reason is shown")
        assert daemon.stop() == 0


def test_it_is_gone_with_the_daemon(daemon: Daemon) -> None:
    make(daemon)
    daemon.flow("echo.yaml", call("echo", "{text: a}"))
    with daemon:
        first = pid_of(daemon)
        assert daemon.stop() == 0
        assert not Path(f"/proc/{first}").exists()
        daemon.start()
        second = pid_of(daemon)
        daemon.kill()
        eventually(lambda: not Path(f"/proc/{second}").exists(), 30, "its stdin ended, it did not")


def limits_of(pid: Any) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def test_bounds_are_set(daemon: Daemon) -> None:
    folder = make(daemon)
    manifest = (folder / "plugin.yaml").read_text()
    (folder / "plugin.yaml").write_text(manifest + "limits: {memory: 1GiB, cpu: 1h, files: 77}\n")
    daemon.flow("echo.yaml", call("echo", "{text: a}"))
    with daemon:
        shown = limits_of(pid_of(daemon))
        assert str(1024**3) in shown and "3600" in shown and " 77 " in shown, shown
        assert daemon.stop() == 0


def test_the_command_line_says_what_is_wrong_in_a_line(daemon: Daemon) -> None:
    folder = make(daemon)
    for arguments, said in (
        (["test", str(folder), "nope"], "brings no nope; it brings echo"),
        (["test", str(folder), "echo", "--input", "{"], "--input is no JSON"),
        (["test", str(folder), "echo"], "--input does not fit: Object missing required field `text`"),
        (["test", str(folder), "echo", "--input", '{"text": "01234567890"}'], "--input does not fit"),
        (["test", str(folder), "refuse"], "shop.closed: no luck"),
        (["test", str(folder), "crash"], "plugin.down"),
        (["check", str(daemon.folder)], "plugin.yaml: No such file"),
        (["new", "Bad", "--language", "go"], "is no name of a plugin"),
        (["new", "shop", "--language", "go", "--directory", str(folder.parent)], "already there"),
    ):
        done = daemon.cli("plugin", *arguments)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)
    shown = daemon.cli("plugin", "test", str(folder), "count", "--input", '{"to": 5}', "--events", "2")
    assert [json.loads(line)["data"]["n"] for line in shown.stdout.splitlines()] == [1, 2], shown.stderr


def test_the_suite_finds_what_a_plugin_does_wrong(daemon: Daemon) -> None:
    folder = make(daemon)
    wrong = {
        "every action of the manifest is there": ACTIONS.replace("async def echo", "async def eccho"),
        "it comes up": ACTIONS.replace("plugin = Plugin()", "plugin = Plugin()\nplugin._hash = 'x'"),
        "it ends when its stdin does": ACTIONS.replace("plugin.run()", "try:\n    plugin.run()\nfinally:\n    import time; time.sleep(60)"),
        "an action that is not there": ACTIONS.replace("plugin.run()", "plugin._act = lambda id, params: os._exit(1)\nplugin.run()"),
    }  # fmt: skip
    (folder / "plugin.yaml").write_text(
        MANIFEST % ("shop", protocol_of(daemon), sys.executable, "actions: {echo: {summary: E.}}\n")
    )
    for check, code in wrong.items():
        (folder / "plugin.py").write_text(code)
        done = daemon.cli("plugin", "check", str(folder))
        assert done.returncode == 1 and f"FAILED  {check}" in done.stdout, (check, done.stdout)
