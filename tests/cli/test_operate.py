"""What operators use: backup and restore under load, doctor, docs, completion, the unit, readiness for systemd."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from reactor.cli.completion import words
from tests.daemon import Daemon, eventually

FLOW = "flow: keep\nwhen: [{http: POST /keep}]\ndo: [{call: uuid}]\noutput: '${{ event.body }}'\n"


def test_a_backup_of_a_busy_daemon_restores(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    big = {"text": "x" * 100_000}
    stop = threading.Event()
    sent: list[str] = []

    def work() -> None:
        while not stop.is_set():
            sent.append(daemon.post("/hooks/keep?wait", {"n": len(sent)}).headers["location"])

    with daemon:
        first = daemon.post("/hooks/keep?wait", big).headers["location"]
        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: len(sent) > 50, 20, "no load")
        before = len(sent)
        done = daemon.cli("backup", "--json", str(tmp_path / "b.tar"))
        assert done.returncode == 0, done.stderr
        stop.set()
        thread.join()
        known = sent[:before]
        assert json.loads(done.stdout)["runs"] >= before and json.loads(done.stdout)["payloads"] >= 1
        again = daemon.cli("backup", str(tmp_path / "b.tar"))
        assert again.returncode == 2 and "never writes over" in again.stderr
        refused = daemon.cli("restore", str(tmp_path / "b.tar"))
        assert refused.returncode == 2 and "holds a store already" in refused.stderr
    assert oct((tmp_path / "b.tar").stat().st_mode)[-3:] == "600"
    shutil.rmtree(daemon.data)
    done = daemon.cli("restore", str(tmp_path / "b.tar"))
    assert done.returncode == 0, done.stderr
    with daemon:
        assert daemon.get(first)["output"] == big
        for location in known:
            assert daemon.get(location)["status"] == "succeeded"
    assert not list(tmp_path.glob(".backup-*"))


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    (tmp_path / "no.tar").write_bytes(b"no tar")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(__file__, "../../evil.py")
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        tar.add(__file__, "reactor.db")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for name in ("no.tar", "evil.tar", "odd.tar", "empty.tar", "missing.tar"):
        done = daemon.cli("restore", str(tmp_path / name))
        assert done.returncode == 2 and done.stderr.startswith("reactor: ") and "Traceback" not in done.stderr, (
            done.stderr
        )
        assert not (daemon.data / "reactor.db").exists()
    done = daemon.cli("backup", str(tmp_path / "x.tar"))
    assert done.returncode == 2 and "holds no store" in done.stderr


def test_doctor_says_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("keep.yaml", FLOW)
    with daemon:
        daemon.post("/hooks/keep?wait", {"text": "y" * 100_000})
        done = daemon.cli("doctor", "--flows", str(daemon.flows), "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 0 and found["ok"], done.stdout
        texts = {f["what"]: f["found"] for f in found["findings"]}
        assert daemon.stop() == 0
        assert "is ready" in texts["daemon"] and "sound" in texts["store"] and "1 flows" in texts["flows"]
    for path in (daemon.data / "payloads").rglob("*"):
        if path.is_file():
            path.unlink()
    daemon.flow("bad.yaml", "flow: bad\ndo: [{no: such}]\n")
    done = daemon.cli("doctor", "--flows", str(daemon.flows))
    assert done.returncode == 1
    assert "✗ payloads" in done.stdout and "✗ flows" in done.stdout
    raw = bytearray((daemon.data / "reactor.db").read_bytes())
    raw[4096:12000] = b"\xff" * (12000 - 4096)
    (daemon.data / "reactor.db").write_bytes(raw)
    done = daemon.cli("doctor", "--flows", str(daemon.flows))
    assert done.returncode == 1 and "✗ store" in done.stdout, done.stdout + done.stderr


def test_docs_print_pages(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    listed = daemon.cli("docs")
    assert listed.returncode == 0 and "webhook" in listed.stdout and "language" in listed.stdout
    assert daemon.cli("docs", "queue").stdout.startswith("# queue")
    assert "script.python" in daemon.cli("docs", "script.python").stdout
    wrong = daemon.cli("docs", "emial")
    assert wrong.returncode == 2 and "did you mean email?" in wrong.stderr


def test_completion_knows_commands_verbs_and_options(tmp_path: Path) -> None:
    found = words()
    assert "runs" in found[""] and "retry" in found["runs"] and "--json" in found["runs show"]
    daemon = Daemon(tmp_path)
    bash = daemon.cli("completion", "bash").stdout

    def complete(*typed: str) -> set[str]:
        line = " ".join(f'"{word}"' for word in typed)
        script = (
            f"{bash}\nCOMP_WORDS=({line}); COMP_CWORD={len(typed) - 1}; _reactor; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        return set(subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split())

    assert complete("reactor", "ru") == {"run", "runs"}
    assert "retry" in complete("reactor", "runs", "re") and "--show-config" in complete("reactor", "run", "--sh")
    assert "--failed" in complete("reactor", "runs", "tail", "--")
    for shell in ("zsh", "fish"):
        text = daemon.cli("completion", shell).stdout
        assert "runs" in text and "retry" in text
        if shutil.which(shell):
            done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    done = daemon.cli("service", "--executable", "/bin/true", "--flows", "/srv/my flows", "--allow", "shell")
    assert done.returncode == 0 and "'/srv/my flows'" in done.stdout and "Type=notify" in done.stdout
    keys = [line.partition("=")[0] for line in done.stdout.splitlines() if "=" in line and not line.startswith("#")]
    assert len(keys) > 30 and all(key.isalnum() for key in keys)
    unit = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line and not line.startswith("#"))
    assert unit["RestartPreventExitStatus"] == "2 4" and unit["CacheDirectory"] == "reactor"
    assert "Environment=TMPDIR=%C/reactor" in done.stdout and "%t/" not in done.stdout, "%t is mounted noexec"
    assert "MemoryDenyWriteExecute" not in unit, "programs of --allow shell may write code"
    assert "MemoryDenyWriteExecute=yes" in daemon.cli("service", "--executable", "/bin/true").stdout
    plugins = daemon.cli("service", "--executable", "/bin/true", "--plugins", "/srv/my plugins").stdout
    assert "MemoryDenyWriteExecute" not in plugins and "--plugins '/srv/my plugins'" in plugins
    if shutil.which("systemd-analyze"):
        (tmp_path / "reactor.service").write_text(daemon.cli("service", "--executable", "/bin/true").stdout)
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / "reactor.service")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Unknown" not in checked.stderr, checked.stderr
    assert daemon.cli("service", "--user", "a\nExecStart=/bin/sh").returncode == 2


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_ready_alive_and_stopping(tmp_path: Path, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"\0reactor-{os.getpid()}" if abstract else str(tmp_path / "notify")
        listener.bind(name)
        listener.settimeout(20)
        given = "@" + name[1:] if abstract else name
        daemon = Daemon(tmp_path, env={"NOTIFY_SOCKET": given, "WATCHDOG_USEC": "200000"})
        daemon.flow("keep.yaml", FLOW)
        daemon.start()
        first = listener.recv(1000).decode().splitlines()
        assert first[0] == "READY=1" and first[1] == f"MAINPID={daemon.pid}" and first[2] == "STATUS=1 flows"
        assert [listener.recv(1000).decode() for _ in range(3)] == ["WATCHDOG=1"] * 3
        assert daemon.stop() == 0
        said = ""
        while said != "STOPPING=1":
            said = listener.recv(1000).decode()
