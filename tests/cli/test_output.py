"""The command line where its output, its input or its arguments are odd: one line, an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.daemon import COMMAND, EXECUTABLE, Daemon

FULL = "No space left on device"


def run(
    *arguments: str | bytes, shell: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})}, check=False)


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    assert b"Traceback" not in done.stderr, done.stderr
    lines = done.stderr.decode().strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("reactor: "), lines
    return lines[0]


@pytest.mark.parametrize("arguments", [["--help"], ["docs"], ["docs", "language"], ["run", "--show-config"]])
def test_a_full_disk_behind_the_output_is_one_line_and_exit_code_1(arguments: list[str]) -> None:
    done = run(*arguments, shell="> /dev/full")
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    last = done.stderr.decode().strip().splitlines()[-1]
    assert last.startswith("reactor: ") and FULL in last


@pytest.mark.parametrize("shell", [">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-", "| head -c 1"])
def test_closed_descriptors_and_pipes_do_not_change_the_exit_code(shell: str) -> None:
    done = run("docs", "language", shell=shell)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_knows_less_than_utf8_gets_escapes(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yaml").write_text("flow: Łódź\ndo: []\n", "utf-8")
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = run("check", str(tmp_path), env=env)
    assert done.returncode == 1 and b"Traceback" not in done.stderr + done.stdout
    shown = "Łódź".encode() if EXECUTABLE else b"\\u0141"  # the executable always speaks UTF-8
    assert shown in done.stdout + done.stderr


def test_arguments_that_are_not_utf8(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("hello.yaml", "flow: hello\nwhen: [{manual: {}}]\ndo: []\n")
    with daemon:
        data = ["--data", str(daemon.data)]
        for arguments, code, words in (
            (["start", "hello", "--input", b'{"a": "\xff"}', *data], 1, "byte 0xff at position 7 is not UTF-8"),
            (["start", "hello", "--input", "[" * 100_000, *data], 1, "is not valid JSON"),
            (["start", b"hel\xfflo", *data], 2, "hel\\xfflo is not valid UTF-8"),
            (["runs", "show", b"\xff", *data], 2, "\\xff is not valid UTF-8"),
            ([b"ru\xffn"], 2, "unknown command"),
            (["sennd"], 2, "did you mean send?"),
            (["run", "--flows", b"no\xff", *data], 2, "no\\xff"),
        ):
            done = run(*arguments)
            assert done.returncode == code and words in one_line(done), done
        sent = run("send", "a", "--data-dir", str(daemon.data), "--data", b'{"a": "\xff"}')
        assert sent.returncode == 1 and "byte 0xff at position 7" in one_line(sent)
