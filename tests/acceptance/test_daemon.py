"""The daemon as an operator meets it: reloading, files, refusals, draining, the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually

HELLO = "flow: hello\nwhen: [{http: POST /hello}, manual]\ndo: [{set: {a: 1}}]\noutput: ${{ vars.a }}\n"


def test_a_flow_runs_within_a_second_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.flow("hello.yaml", HELLO)
        eventually(lambda: daemon.post("/hooks/hello?wait").raw == b"1", 10, "the new flow does not run")
        daemon.flow("hello.yaml", HELLO.replace("vars.a", "vars.b"))
        daemon.wait_log("flow.refused")
        assert daemon.post("/hooks/hello?wait").json == 1
        (item,) = daemon.get("/api/v1/flows")["items"]
        assert "nothing in this flow sets vars.b" in item["problems"][0]
        daemon.flow("other.yaml", "flow: other\nwhen: [{http: POST /other}]\ndo: []\noutput: 2\n")
        eventually(lambda: daemon.post("/hooks/other?wait").raw == b"2", 10, "a bad file held up a good one")
        daemon.flow("hello.yaml", HELLO.replace("a: 1", "a: 5"))
        eventually(lambda: daemon.post("/hooks/hello?wait").raw == b"5", 10, "the corrected flow does not run")
        assert len(daemon.get("/api/v1/flows/hello/versions")["items"]) == 2


def test_a_deleted_flow_lets_its_runs_end_on_their_version(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "slow.yaml", "flow: slow\nwhen: [{http: POST /slow}]\ndo: [{wait: 2s}, {set: {a: 1}}]\noutput: ${{ vars.a }}\n"
    )
    with daemon:
        run = daemon.post("/hooks/slow").json["runs"][0]["id"]
        (daemon.flows / "slow.yaml").unlink()
        daemon.wait_log("flow.removed")
        assert daemon.post("/hooks/slow").status == 404
        daemon.kill()
        daemon.start()
        assert daemon.wait_run(run)["output"] == 1


def test_a_second_daemon_is_refused_with_the_pid(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        pid = daemon.wait_log("daemon.started")["pid"]
        refused = daemon.cli("run", "--flows", str(daemon.flows), "--listen", "127.0.0.1:0")
        assert refused.returncode == 1 and f"pid {pid}" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_refusals_at_start_are_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    data = ["--data", str(daemon.data)]
    for arguments, words in (
        (["run", "--flows", "nowhere"], "reactor init"),
        (["run", "--flows", "flows", "--listen", "0.0.0.0:0"], "REACTOR_ADMIN_TOKEN"),
        (["run", "--flows", "flows", "--listen", "what"], "127.0.0.1:8420"),
        (["run", "--flows", "flows", "--drain", "soon"], "is no duration"),
        (["run", "--flows", "flows", "--allow", "everything"], "there is shell"),
    ):
        done = daemon.cli(*arguments, *data)
        assert done.returncode == 2 and words in done.stderr, done
        assert len(done.stderr.strip().splitlines()) == 1
    daemon.data.mkdir(exist_ok=True)
    (daemon.data / "reactor.db").write_bytes(b"this is no database" * 1000)
    done = daemon.cli("run", "--flows", "flows", *data)
    assert done.returncode != 0 and "damaged" in done.stderr and "backup" in done.stderr


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        assert daemon.stop() == 0
    import apsw

    connection = apsw.Connection(str(daemon.data / "reactor.db"))
    connection.pragma("user_version", 99)
    connection.close()
    done = daemon.cli("run", "--flows", "flows", "--data", str(daemon.data))
    assert "newer reactor" in done.stderr


def test_off_the_loopback_the_token_decides(tmp_path: Path) -> None:
    token = "0123456789abcdef-daemon"
    daemon = Daemon(tmp_path, "--listen", "0.0.0.0:0", env={"REACTOR_ADMIN_TOKEN": token})
    daemon.flow("hello.yaml", HELLO)
    with daemon:
        assert daemon.request("GET", "/api/v1/runs").status == 401
        assert daemon.request("POST", "/api/v1/events?type=a").status == 401
        assert daemon.request("GET", "/api/v1/runs", headers={"Authorization": "Bearer wrong"}).status == 401
        assert daemon.request("GET", "/api/v1/runs", headers={"Authorization": f"Bearer {token}"}).status == 200
        assert daemon.request("GET", "/healthz").status == 200
        assert daemon.post("/hooks/hello").status == 202
        assert token.encode() not in daemon.log.read_bytes()
        shown = daemon.cli("run", "--show-config").stdout
        assert token not in shown and "REACTOR_ADMIN_TOKEN" in shown


def test_the_command_line(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("hello.yaml", HELLO)
    daemon.flow("typed.yaml", "flow: typed\nwhen: [{event: order.made}]\nonly_if: event.data.n > 1\ndo: []\n")
    daemon.flow(
        "fails.yaml", "flow: fails\nwhen: [{manual: {inputs: {type: object, required: [x]}}}]\ndo: [{fail: no luck}]\n"
    )
    assert daemon.cli("runs").returncode == 3
    assert "start one with" in daemon.cli("runs").stderr
    assert daemon.cli("nonsense").returncode == 2
    with daemon:
        sent = daemon.cli("send", "order.made", "--data", '{"n": 2}', "--key", "k")
        assert sent.returncode == 0 and "typed" in sent.stdout
        assert daemon.cli("send", "order.made", "--data", '{"n": 2}', "--key", "k").stdout == sent.stdout
        assert "is not valid JSON" in daemon.cli("send", "a", "--data", "{n}").stderr
        skipped = daemon.cli("send", "order.made", "--data", '{"n": 1}').stdout.strip()
        why = daemon.cli("why", skipped)
        assert "typed: only_if" in why.stdout and "event.data.n = 1" in why.stdout
        assert daemon.cli("start", "hello", "--wait").stdout.strip() == "1"
        failed = daemon.cli("start", "fails", "--input", '{"x": 1}', "--wait")
        assert failed.returncode == 1 and "no luck" in failed.stderr
        unfit = daemon.cli("start", "fails")
        assert unfit.returncode == 1 and "required" in unfit.stderr
        assert "there is no flow nope" in daemon.cli("start", "nope").stderr
        listed = daemon.cli("runs", "list", "--flow", "hello", "--json")
        (item,) = json.loads(listed.stdout)["items"]
        assert "set do/0" in daemon.cli("runs", "show", item["id"]).stdout
        assert daemon.cli("runs", "cancel", item["id"]).returncode == 1
        for command in ("events", "flows", "triggers", "actions"):
            done = daemon.cli(command)
            assert done.returncode == 0 and len(done.stdout.splitlines()) > 1, (command, done)
        assert "url" in daemon.cli("actions", "http.get").stdout
        assert "did you mean http.get" in daemon.cli("actions", "http.gett").stderr


def test_check_exits_1_and_knows_formats(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("good.yaml", "when: [{cron: '0 6 * * *'}]\ndo: []\n")
    done = daemon.cli("check", "flows")
    assert done.returncode == 0 and done.stdout.count("T06:00:00Z") == 3
    daemon.flow("bad.yaml", "do: [{cal: log}]\n")
    done = daemon.cli("check", "flows")
    assert done.returncode == 1 and "bad.yaml:1:6:" in done.stdout
    assert json.loads(daemon.cli("check", "flows", "--format", "json").stdout)[0]["line"] == 1
    sarif = json.loads(daemon.cli("check", "flows", "--format", "sarif").stdout)
    assert sarif["runs"][0]["results"][0]["locations"]
    schema = json.loads(daemon.cli("schema").stdout)
    import jsonschema_rs

    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid({"when": ["manual"], "do": [{"call": "log", "with": {"message": "x"}}]})
    assert not validator.is_valid({"do": [{"cal": "log"}]})


def test_cancel_resume_and_retry(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    daemon = Daemon(tmp_path, "--allow", "shell")
    daemon.flow(
        "work.yaml",
        f"flow: work\nwhen: [manual]\ndo:\n  - {{call: log, with: {{message: a}}}}\n"
        f"  - {{id: s, call: shell.run, with: {{argv: [sh, -c, 'test -e {mark}']}}}}\noutput: done\n",
    )
    daemon.flow(
        "slow.yaml",
        "flow: slow\nwhen: [manual]\ndo: [{wait: 1h}]\nfinally: [{call: log, with: {message: last words}}]\n",
    )
    daemon.flow(
        "sleepy.yaml",
        "flow: sleepy\nwhen: [manual]\ndo: [{call: shell.run, with: {argv: [sleep, '2']}}]\noutput: slept\n",
    )
    with daemon:

        def start(name: str) -> str:
            return str(daemon.post(f"/api/v1/flows/{name}/runs").json["runs"][0]["id"])

        run = start("work")
        failed = daemon.wait_run(run)
        assert (
            failed["status"] == "failed" and failed["error"]["type"] == "shell.exit" and failed["error"]["step"] == "s"
        )
        mark.touch()
        assert daemon.post(f"/api/v1/runs/{run}/retry").status == 202
        assert daemon.wait_run(run, "succeeded")["output"] == "done"
        assert daemon.post(f"/api/v1/runs/{run}/retry").status == 409
        run = start("slow")
        daemon.wait_run(run, "waiting")
        assert daemon.post(f"/api/v1/runs/{run}/cancel", {"reason": "enough"}).status == 202
        cancelled = daemon.wait_run(run, "cancelled")
        assert cancelled["error"]["message"] == "enough"
        daemon.wait_log("action.log", message="last words")
        run = start("sleepy")
        daemon.wait_run(run, "running")
        daemon.kill()
        daemon.start()
        paused = daemon.wait_run(run, "paused")
        assert paused["error"]["type"] == "crashed"
        assert daemon.post(f"/api/v1/runs/{run}/resume").status == 202
        assert daemon.wait_run(run, "succeeded")["output"] == "slept"


def test_sigterm_lets_running_steps_end(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--allow", "shell")
    daemon.flow(
        "work.yaml", "flow: work\nwhen: [manual]\ndo: [{call: shell.run, with: {argv: [sleep, '1']}}]\noutput: done\n"
    )
    with daemon:
        run = daemon.post("/api/v1/flows/work/runs").json["runs"][0]["id"]
        daemon.wait_run(run, "running")
        assert daemon.stop() == 0
        daemon.start()
        assert daemon.wait_run(run)["output"] == "done"


def test_a_timeout_ends_the_whole_process_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    daemon = Daemon(tmp_path, "--allow", "shell")
    script = f"sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    daemon.flow(
        "work.yaml",
        f"flow: work\nwhen: [manual]\ndo: [{{call: shell.run, with: {{argv: [sh, -c, '{script}']}}, timeout: 500ms}}]\n",
    )
    daemon.flow("loud.yaml", "flow: loud\nwhen: [manual]\ndo: [{call: shell.run, with: {argv: [yes], limit: 1000}}]\n")
    with daemon:
        run = daemon.post("/api/v1/flows/work/runs").json["runs"][0]["id"]
        assert daemon.wait_run(run)["error"]["type"] == "timeout"
        for pid in pids.read_text().split():
            eventually(lambda pid=pid: not _alive(int(pid)), 5, f"{pid} lives on")
        run = daemon.post("/api/v1/flows/loud/runs").json["runs"][0]["id"]
        assert daemon.wait_run(run)["error"]["type"] == "limit"


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_shell_needs_allow(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("work.yaml", "flow: work\nwhen: [manual]\ndo: [{call: shell.run, with: {argv: [id]}}]\n")
    with daemon:
        assert "--allow shell" in daemon.get("/api/v1/flows")["items"][0]["problems"][0]


def test_files_are_neither_missed_nor_taken_twice(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    inbox = daemon.flows / "in"
    inbox.mkdir()
    text = "flow: take\nwhen: [{files: {path: 'in/*.txt', settle: 0s, poll: 500ms, events: [created, modified, deleted, moved]}}]\ndo: []\noutput: '${{ event.type }} ${{ event.name }}'\n"
    daemon.flow("take.yaml", text)

    def outputs() -> list[str]:
        return sorted(item["output"] for item in daemon.get("/api/v1/runs?limit=1000")["items"] if item["output"])

    (inbox / "a.txt").write_text("1")
    with daemon:
        eventually(lambda: outputs() == ["file.created a.txt"], 10, f"not seen: {outputs()}")
        (inbox / "b.txt").write_text("1")
        eventually(lambda: len(outputs()) == 2, 10, "b.txt not seen")
        daemon.kill()
        (inbox / "c.txt").write_text("1")
        (inbox / "a.txt").write_text("22")
        (inbox / "b.txt").rename(inbox / "d.txt")
        daemon.start()
        wanted = [
            "file.created a.txt",
            "file.created b.txt",
            "file.created c.txt",
            "file.modified a.txt",
            "file.moved d.txt",
        ]
        eventually(lambda: outputs() == wanted, 10, "the changes while it was down")
        (inbox / "c.txt").unlink()
        eventually(lambda: "file.deleted c.txt" in outputs(), 10, "the deletion")
        (inbox / "z.txt").write_text("1")
        eventually(lambda: "file.created z.txt" in outputs(), 10, "z.txt not seen")
        assert len(outputs()) == 7


def test_concurrency_queue_and_replace(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    base = "flow: {0}\nwhen: [{{http: POST /{0}}}]\nconcurrency: {{limit: 1, when_busy: {0}}}\ndo: [{{wait: {1}}}]\noutput: ${{{{ len(events) }}}}\n"
    daemon.flow("q.yaml", base.format("queue", "200ms"))
    daemon.flow("r.yaml", base.format("replace", "1s"))
    daemon.flow("l.yaml", base.format("latest", "500ms"))
    with daemon:
        queued = [daemon.post("/hooks/queue").json["runs"][0]["id"] for _ in range(3)]
        replaced = [daemon.post("/hooks/replace").json["runs"][0]["id"] for _ in range(2)]
        latest = [daemon.post("/hooks/latest").json["runs"][0]["id"] for _ in range(4)]
        shown = [daemon.wait_run(run) for run in queued]
        assert [one["status"] for one in shown] == ["succeeded"] * 3
        assert shown[0]["ended"] <= shown[1]["started"] and shown[1]["ended"] <= shown[2]["started"]
        first, second = (daemon.wait_run(run) for run in replaced)
        assert (first["status"], second["status"]) == ("cancelled", "succeeded")
        assert first["ended"] <= second["started"]
        assert len(set(latest)) == 2 and latest[1] == latest[2] == latest[3]
        assert daemon.wait_run(latest[3])["output"] == 3


def test_sub_flows_and_the_daemons_own_events(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "child.yaml",
        "flow: child\ndo: [{wait: 100ms}, {if: inputs.bad, then: [{fail: bad child}]}]\noutput: ${{ inputs.n * 2 }}\n",
    )
    daemon.flow(
        "parent.yaml",
        "flow: parent\nwhen: [{http: POST /parent}]\ndo: [{id: c, run: child, with: {n: 4, bad: '${{ event.body.bad }}'}}]\noutput: ${{ steps.c }}\n",
    )
    daemon.flow(
        "watch.yaml", "flow: watch\nwhen: [{event: reactor.run.failed}]\ndo: []\noutput: ${{ event.data.flow }}\n"
    )
    with daemon:
        assert daemon.post("/hooks/parent?wait", {"bad": False}).json == 8
        failed = daemon.post("/hooks/parent?wait", {"bad": True})
        assert failed.status == 500 and failed.json["error"]["type"] == "flow.failed"
        assert failed.json["error"]["details"]["error"]["message"] == "bad child"

        def watched() -> bool:
            return sorted(i["output"] for i in daemon.get("/api/v1/runs?flow=watch")["items"]) == ["child", "parent"]

        eventually(watched, 5, "the daemon's own events did not start the flow")


def test_secrets_are_masked(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--allow", "shell", env={"REACTOR_SECRET_CANARY": "canary-7531"})
    daemon.flow(
        "leak.yaml",
        "flow: leak\nwhen: [manual]\ndo:\n  - {id: s, call: shell.run, with: {argv: [sh, -c, 'echo $X; echo $X >&2; exit 3'], env: {X: '${{ secrets.canary }}'}}, on_error: []}\n"
        "  - {id: t, call: shell.run, with: {argv: [echo, '${{ secrets.canary }}']}}\noutput: ${{ steps.t.stdout }}\n",
    )
    with daemon:
        run = daemon.post("/api/v1/flows/leak/runs").json["runs"][0]["id"]
        shown = daemon.wait_run(run, "succeeded")
        assert shown["output"] == "***\n"
        assert "canary-7531" not in json.dumps(shown)
        assert daemon.stop() == 0
    for path in [daemon.log, *daemon.data.iterdir()]:
        assert b"canary-7531" not in path.read_bytes(), path


def test_a_full_disk_answers_503_and_heals(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("hello.yaml", HELLO)
    daemon.data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(daemon.data)], capture_output=True, check=False
    )
    if mounted.returncode:  # without the right to mount, the floor of free space stands in for the full disk
        daemon.options = ("--disk-floor", "100TB")
        with daemon:
            assert daemon.post("/hooks/hello").status == 503
        return
    daemon.options = ("--disk-floor", "1B")
    try:
        with daemon:
            accepted = []
            ballast = daemon.data / "ballast"
            ballast.write_bytes(b"x" * 1024 * 1024)
            for number in range(3000):
                answer = daemon.post("/hooks/hello", {"pad": "x" * 3000, "n": number})
                if answer.status != 202:
                    assert answer.status == 503 and answer.headers["retry-after"], answer.raw
                    break
                accepted.append(answer.json["runs"][0]["id"])
            else:
                pytest.fail("the disk never was full")
            assert daemon.request("GET", "/healthz").status == 503
            ballast.unlink()
            eventually(lambda: daemon.post("/hooks/hello", {}).status == 202, 10, "it does not heal")
            for run in accepted:
                assert daemon.get(f"/api/v1/runs/{run}")["status"] == "succeeded"
            assert daemon.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(daemon.data)], check=True)


def test_runs_beyond_the_limit_wait_in_the_store(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--allow", "shell", "--max-active-runs", "2")
    daemon.flow(
        "work.yaml", "flow: work\nwhen: [{http: POST /work}]\ndo: [{call: shell.run, with: {argv: [sleep, '0.3']}}]\n"
    )
    with daemon:
        runs = [daemon.post("/hooks/work").json["runs"][0]["id"] for _ in range(6)]
        most = 0

        def done() -> bool:
            nonlocal most
            most = max(most, daemon.get("/readyz")["active_runs"])
            return len(daemon.get("/api/v1/runs?status=succeeded")["items"]) == 6

        eventually(done, 20, "the waiting runs never went on")
        assert most <= 2 and len(set(runs)) == 6


def test_a_flow_is_told_what_was_loaded(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "watch.yaml", "flow: watch\nwhen: [{event: reactor.flow.loaded}]\ndo: []\noutput: ${{ event.data.flow }}\n"
    )
    with daemon:
        daemon.flow("hello.yaml", HELLO)

        def told() -> bool:
            return "hello" in [item["output"] for item in daemon.get("/api/v1/runs?flow=watch")["items"]]

        eventually(told, 5, "no reactor.flow.loaded")


def test_hup_reloads(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGHUP)
        assert daemon.get("/readyz")["status"] == "ready"
