"""How commands find a daemon, and the README's first two minutes as they are typed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.process.places import LONGEST
from tests.acceptance.test_logging import free_port
from tests.daemon import COMMAND, Daemon, eventually

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, so that other daemons of this machine are not found."""
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("REACTOR_DATA", raising=False)
    monkeypatch.delenv("REACTOR_SERVER", raising=False)
    yield folder
    shutil.rmtree(folder)


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def named(folder: Path, name: str, *options: str) -> Daemon:
    (folder / name).mkdir(parents=True)
    daemon = Daemon(folder / name, *options)
    daemon.flow(f"{name}.yaml", f"flow: {name[:40]}\nwhen: [{{manual: {{}}}}]\ndo: []\n")
    return daemon


def test_a_command_finds_the_one_daemon_from_anywhere(tmp_path: Path, runtime: Path) -> None:
    with named(tmp_path, "first") as daemon:
        found = cli(tmp_path, "flows")
        assert found.returncode == 0 and "first" in found.stdout, found.stderr
        with named(tmp_path, "second") as other:
            several = cli(tmp_path, "flows")
            assert several.returncode == 3 and "several daemons run on this machine" in several.stderr
            assert str(daemon.data) in several.stderr and str(other.data) in several.stderr
            assert "second" in cli(tmp_path, "flows", "--data", str(other.data)).stdout
            assert "second" in cli(other.folder, "flows").stdout, "./data goes before the others"
        assert "first" in cli(tmp_path, "flows").stdout
        daemon.kill()
        gone = cli(tmp_path, "flows")
        assert gone.returncode == 3 and "no daemon answers" in gone.stderr
    assert (runtime / "reactor").stat().st_mode & 0o777 == 0o700


def test_a_pointer_that_others_could_write_is_not_followed(tmp_path: Path, runtime: Path) -> None:
    with named(tmp_path, "first"):
        (runtime / "reactor").chmod(0o777)
        assert cli(tmp_path, "flows").returncode == 3


def test_a_socket_path_that_is_too_long_gets_a_shorter_place(tmp_path: Path, runtime: Path) -> None:
    """In bytes, not letters: each of these has two."""
    daemon = named(tmp_path, "é" * ((LONGEST - len(os.fsencode(tmp_path))) // 2))
    with daemon:
        warning = daemon.wait_log("config.warning")
        assert f"at most {LONGEST} are possible" in warning["message"] and "the socket is" in warning["message"]
        assert cli(tmp_path, "flows", "--data", str(daemon.data)).returncode == 0
        assert cli(daemon.folder, "flows").returncode == 0


def test_a_runtime_folder_that_is_too_long_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REACTOR_DATA", "REACTOR_SERVER"):
        monkeypatch.delenv(name, raising=False)
    long = tmp_path / ("r" * LONGEST)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    daemon = named(tmp_path, "d" * LONGEST)
    with daemon:
        place = daemon.wait_log("config.warning")["message"].rpartition(" ")[2]
        assert len(place) <= LONGEST and Path(place).is_socket()
        assert cli(tmp_path, "flows", "--data", str(daemon.data)).returncode == 0


def test_init_does_not_write_into_a_package(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    refused = cli(tmp_path, "init", "mine")
    assert refused.returncode == 1 and "is a Python package" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["__init__.py"]


def test_the_first_two_minutes_of_the_readme_as_typed(tmp_path: Path, runtime: Path) -> None:
    text = README.read_text("utf-8")
    section = text[text.index("## The first flow") : text.index("```yaml")]
    port = free_port()
    blocks = [
        "\n".join(line[4:] for line in block.splitlines()).replace("8420", str(port))
        for block in re.findall(r"(?:^    .*\n?)+", section, re.MULTILINE)
    ]
    assert len(blocks) == 2 and "reactor run" in blocks[0] and "reactor why" in blocks[1]
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "reactor"
    command.write_text("#!/bin/sh\nexec " + " ".join(COMMAND) + ' "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{folder}:{os.environ['PATH']}", "REACTOR_LISTEN": f"127.0.0.1:{port}",
           "PYTHONPATH": str(README.parent)}  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen(
            ["bash", "-e", "-c", blocks[0]], env=env, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        eventually(lambda: "reactor is up" in (tmp_path / "log").read_text(), 30, "the daemon is not up")
        listed = [line for line in blocks[1].splitlines() if "EVENT" not in line]
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(listed)], env=env, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert '{"text":"Hello, Ada!"}' in done.stdout and "hello" in done.stdout and "succeeded" in done.stdout
        event = re.search(r"evt_[0-9a-f]+", done.stdout)
        assert event is not None, done.stdout
        why = next(line for line in blocks[1].splitlines() if "EVENT" in line).replace("EVENT", event.group())
        told = subprocess.run(["bash", "-c", why], env=env, cwd="/", capture_output=True, text=True, check=False)
        assert told.returncode == 0 and "started" in told.stdout, told.stderr
    finally:
        os.killpg(first.pid, signal.SIGTERM)
        first.wait(30)
    assert not list((runtime / "reactor").glob("*.json")), "the pointer is left behind"
