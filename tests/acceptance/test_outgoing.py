"""What goes out, through the daemon: nothing acts again once it has acted, and connections fire no webhooks."""

from __future__ import annotations

from pathlib import Path

import brotli
import pytest

from tests.daemon import Daemon, eventually
from tests.plugins.answers import Raw, answer

pytestmark = pytest.mark.daemon
RETRY = "retry: {times: 4, wait: 1ms}"
ANSWERS = {
    "/latin": (answer(b'{"a":1}', b"X-Name: caf\xe9", "Content-Type: application/json"), {"a": 1}),
    "/charset": (answer(b"ok", "Content-Type: text/plain; charset=klingon"), "ok"),
    "/gbk": (answer("你好".encode("gbk"), "Content-Type: text/plain; charset=gbk"), "你好"),
    "/long": (answer(b"ok", "X-Long: " + "a" * 12_000), "ok"),
    "/brotli": (answer(brotli.compress(b"ok"), "Content-Encoding: br", "Content-Type: text/plain"), "ok"),
    "/gzip": (answer(b"no gzip", "Content-Encoding: gzip"), None),
    "/json": (answer(b"{no", "Content-Type: application/json"), None),
    "/cut": (answer(b"half", length=100), None),
    "/header": (answer(b"ok", "X-Long: " + "a" * 300_000), None),
}


def test_a_post_goes_out_once_whatever_its_answer_is(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with Raw({path: raw for path, (raw, _) in ANSWERS.items()}) as server:
        for path in ANSWERS:
            daemon.flow(
                f"{path[1:]}.yaml",
                f"flow: {path[1:]}\nwhen: [{{http: POST {path}}}]\n"
                f"do:\n  - {{id: a, call: http.post, with: {{url: '{server.url}{path}', json: {{}}}}, {RETRY}}}\n"
                "output: ${{ steps.a.body }}\n",
            )
        with daemon:
            for path, (_, wanted) in ANSWERS.items():
                found = daemon.post(f"/hooks{path}?wait", {})
                if wanted is None:
                    error = found.json["error"]
                    assert (error["type"], error["retryable"]) == ("http.content", False), (path, error)
                else:
                    assert (found.status, found.json) == (200, wanted), path
            assert {path: server.count(path) for path in ANSWERS} == dict.fromkeys(ANSWERS, 1)


def test_a_program_that_succeeded_runs_once_whatever_it_left_behind(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--allow", "shell", "--allow", "script")
    code = f"echo x >> {tmp_path}/ran; sleep 600 & echo $! >> {tmp_path}/pids; echo fine"
    daemon.flow(
        "shell.yaml",
        "flow: shell\nwhen: [{http: POST /shell}]\n"
        f"do:\n  - {{id: a, call: shell.run, with: {{argv: [sh, -c, '{code}'], background: kill}}, timeout: 20s, {RETRY}}}\n"
        f"  - {{id: b, call: script.shell, with: {{code: '{code}', background: kill}}, timeout: 20s, {RETRY}}}\n"
        "output: ['${{ steps.a.stdout }}', '${{ steps.b.stdout }}']\n",
    )
    daemon.flow(
        "missing.yaml",
        "flow: missing\nwhen: [{http: POST /missing}]\n"
        f"do:\n  - {{call: shell.run, with: {{argv: [./crlf]}}, {RETRY}}}\n",
    )
    tool = daemon.flows / "crlf"
    tool.write_bytes(b"#!/bin/sh\r\necho hi\r\n")
    tool.chmod(0o755)
    with daemon:
        assert daemon.post("/hooks/shell?wait", {}).json == ["fine\n", "fine\n"]
        assert (tmp_path / "ran").read_text() == "x\nx\n"
        error = daemon.post("/hooks/missing?wait", {}).json["error"]
        assert (error["type"], error["attempt"]) == ("shell.start", 1) and "carriage return" in error["message"]


def test_connections_without_health_are_checked_without_a_request(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    (daemon.flows / "connections").mkdir()
    with Raw({"/hook": answer(b"ok"), "/hook/x": answer(b"ok")}) as server:
        daemon.flow("connections/api.yaml", f"kind: http\nsettings: {{url: '{server.url}/hook?key=1'}}\n")
        daemon.flow(
            "a.yaml",
            "flow: a\nwhen: [{http: POST /a}]\ndo: [{call: http.get, with: {connection: api, url: '${{ event.body.url }}'}}]\n",
        )
        with daemon:
            done = daemon.cli("connections", "--check")
            assert done.returncode == 0 and "connected" in done.stdout, done.stderr
            eventually(lambda: server.connections == 1, 20, "the check did not connect")
            assert not server.requests
            for url in ("", "x?page=2"):
                assert daemon.post("/hooks/a?wait", {"url": url}).status == 200
            asked = [one.split(b" ")[1].decode() for one in server.requests]
            assert asked == ["/hook?key=1", "/hook/x?key=1&page=2"]


def test_calls_share_connections(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    keep = answer(b"ok").replace(b"Connection: close\r\n", b"")
    with Raw({"/": keep}) as server:
        step = f"{{call: http.post, with: {{url: '{server.url}/', body: a}}}}"
        daemon.flow("a.yaml", f"flow: a\nwhen: [{{http: POST /a}}]\ndo: [{', '.join([step] * 20)}]\n")
        with daemon:
            assert daemon.post("/hooks/a?wait", {}).status == 200
            assert daemon.stop() == 0
        assert len(server.requests) == 20 and server.connections < 10
