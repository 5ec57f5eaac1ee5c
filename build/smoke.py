"""Drives the frozen executable through every trigger and action kind it holds, with a PATH that has no Python.

build/smoke.py dist/reactor
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reactor.registry import ACTIONS, TRIGGERS  # noqa: E402
from tests.daemon import Daemon, eventually  # noqa: E402

CALLS: dict[str, dict[str, Any]] = {
    "http.request": {"url": "URL/echo", "method": "POST", "json": {"a": 1}},
    "http.get": {"url": "URL/echo", "query": {"q": 1}},
    "http.head": {"url": "URL/echo"},
    "http.post": {"url": "URL/echo", "form": {"a": "b"}},
    "http.put": {"url": "URL/echo", "body": "text"},
    "http.patch": {"url": "URL/echo", "json": []},
    "http.delete": {"url": "URL/echo"},
    "file.write": {"path": "out/a.json", "json": {"a": 1}},
    "file.append": {"path": "out/b.txt", "text": "x"},
    "file.read": {"path": "out/a.json", "decode": "json"},
    "file.copy": {"path": "out/a.json", "to": "out/c.json"},
    "file.list": {"path": "out"},
    "file.move": {"path": "out/c.json", "to": "out/d.json"},
    "file.delete": {"path": "out/d.json"},
    "shell.run": {"argv": ["sh", "-c", "echo out; env"]},
    "log": {"message": "hello"},
    "uuid": {"version": 7},
    "time.now": {"zone": "Europe/Berlin"},
    "random.int": {"max": 5},
    "random.choice": {"of": ["a", "b"]},
}


class Echo(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        return None


def actions_flow(url: str) -> str:
    steps = [{"id": name.replace(".", "_"), "call": name, "with": given} for name, given in CALLS.items()]
    flow = {"flow": "actions", "when": ["manual"], "do": steps, "output": {"shell": "${{ steps.shell_run.stdout }}"}}
    return json.dumps(flow).replace("URL", url)


def start_time(executable: Path, folder: Path) -> float:
    """Seconds from the start of the process to its first answer."""
    daemon = Daemon(folder, command=[str(executable)])
    daemon.flow("hello.yaml", "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{set: {a: 1}}]\noutput: 1\n")
    begun = time.monotonic()
    with daemon:
        answer = daemon.post("/hooks/hello?wait", {})
        elapsed = time.monotonic() - begun
        assert (answer.status, answer.json) == (200, 1), answer.raw
        assert daemon.stop() == 0
    return elapsed


def triggers(executable: Path, folder: Path, environment: dict[str, str]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert set(CALLS) == set(ACTIONS), "the smoke test calls every action"
    daemon = Daemon(folder, "--allow", "shell", env=environment, command=[str(executable)])
    kinds = {
        "http": "http: POST /go/{name}",
        "files": '{files: {path: "inbox/*.txt", settle: 0s, poll: 1s}}',
        "cron": 'cron: "* * * * * *"',
        "every": "every: 500ms",
        "event": "event: smoke.*",
        "manual": "manual",
    }
    assert set(kinds) == set(TRIGGERS), "the smoke test drives every trigger"
    (folder / "flows" / "inbox").mkdir()
    for kind, text in kinds.items():
        daemon.flow(
            f"{kind}.yaml",
            f"flow: on-{kind}\nwhen:\n  - {text}\ndo: [{{set: {{a: 1}}}}]\noutput: ${{{{ event.type }}}}\n",
        )
    daemon.flow("actions.yaml", actions_flow(f"http://127.0.0.1:{server.server_port}"))
    with daemon:
        daemon.post("/hooks/go/x", {"a": 1})
        (folder / "flows" / "inbox" / "a.txt").write_text("x")
        assert daemon.cli("send", "smoke.test", "--data", '{"a": 1}').returncode == 0
        assert daemon.cli("start", "on-manual", "--wait").returncode == 0
        for kind in kinds:
            eventually(
                lambda kind=kind: daemon.get(f"/api/v1/runs?flow=on-{kind}&status=succeeded")["items"],
                20,
                f"no run by {kind}",
            )
        done = daemon.cli("start", "actions", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "LD_LIBRARY_PATH" not in done.stdout, done.stdout
        assert "_MEI" not in done.stdout, done.stdout
        run = daemon.get("/api/v1/runs?flow=actions")["items"][0]
        steps = daemon.get(f"/api/v1/runs/{run['id']}")["steps"]
        assert len(steps) == len(ACTIONS) and all(step["status"] == "succeeded" for step in steps), steps
        daemon.kill()
        daemon.start()
        assert daemon.get("/readyz")["status"] == "ready"
        assert daemon.stop() == 0
    server.shutdown()
    leftovers = [path for path in Path(environment["TMPDIR"]).iterdir() if path.name.startswith("reactor-flows-")]
    assert not leftovers, leftovers


def examples(executable: Path, folder: Path, environment: dict[str, str]) -> None:
    daemon = Daemon(folder, env=environment, command=[str(executable)])
    shutil.rmtree(daemon.flows)
    shutil.copytree(ROOT / "examples", daemon.flows, ignore=shutil.ignore_patterns("out", "failed"))
    done = daemon.cli("check", "flows")
    assert done.returncode == 0, done.stdout + done.stderr
    with daemon:
        answer = daemon.post("/hooks/orders?wait", {"id": "o-1", "customer": "ada", "total": 100})
        assert (answer.status, answer.json["gross"]) == (200, 119.0), answer.raw
        (daemon.flows / "csv-to-json/inbox/a.csv").write_text("n\n1\n")
        eventually((daemon.flows / "csv-to-json/out/a.json").exists, 20, "no a.json")
        pushed = daemon.post("/hooks/deploy?wait", {"ref": "refs/heads/main", "after": "abc"})
        assert pushed.json["commit"] == "abc", pushed.raw
        assert daemon.stop() == 0


def bundle(executable: Path, folder: Path, environment: dict[str, str]) -> None:
    flows = folder / "src"
    flows.mkdir()
    (flows / "one.yaml").write_text(
        "flow: one\nwhen: [{http: POST /one}]\ndo: [{set: {a: 2}}]\noutput: ${{ vars.a }}\n"
    )
    made = folder / "mine"
    bad = flows / "bad.yaml"
    bad.write_text("do: [{cal: log}]\n")
    refused = subprocess.run(
        [str(executable), "bundle", str(flows), "-o", str(made)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "did you mean call?" in refused.stderr and not made.exists(), refused
    bad.unlink()
    subprocess.run([str(executable), "bundle", str(flows), "-o", str(made)], check=True, capture_output=True)
    empty = folder / "empty"
    empty.mkdir()
    daemon = Daemon(empty, env=environment, command=[str(made)])
    shutil.rmtree(daemon.flows)
    log = daemon.log.open("ab")
    daemon.process = subprocess.Popen(
        [str(made), "run", "--listen", "127.0.0.1:0", "--log-format", "json"],
        cwd=empty, stderr=log, env={**os.environ, **environment},
    )  # fmt: skip
    daemon.port = int(daemon.wait_log("daemon.started")["url"].rpartition(":")[2])
    answer = daemon.post("/hooks/one?wait")
    assert (answer.status, answer.json) == (200, 2), answer.raw
    assert daemon.stop() == 0
    log.close()


def main() -> int:
    executable = Path(sys.argv[1]).resolve()
    passed = 0
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        base = Path(name)
        tools = base / "bin"
        tools.mkdir()
        for tool in ("sh", "env"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        (base / "tmp").mkdir()
        environment = {"PATH": str(tools), "TMPDIR": str(base / "tmp")}
        for check in (
            lambda: print(
                f"start to first answer: {min(start_time(executable, _folder(base, f's{i}')) for i in range(3)):.2f} s"
            ),
            lambda: triggers(executable, _folder(base, "t"), environment),
            lambda: examples(executable, _folder(base, "e"), environment),
            lambda: bundle(executable, _folder(base, "b"), environment),
        ):
            check()
            passed += 1
    print(f"smoke: {passed} passed, 0 failed")
    return 0


def _folder(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
