"""A test that hangs fails with the stacks of its threads, and the others go on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.guard.test_processes import session

pytestmark = pytest.mark.daemon
HOOKS = """
from tests.guard import limits
from tests.conftest import pytest_configure, pytest_runtest_call, pytest_runtest_setup, pytest_runtest_teardown

limits.SECONDS, limits.STUBBORN = 0.5, 1.0
"""
HANGS = {
    "in a lock": "def test_hang(): threading.Event().wait()",
    "in a coroutine": "def test_hang(): asyncio.run(asyncio.sleep(600))",
    "in a fixture": "@pytest.fixture\ndef slow(): time.sleep(600)\ndef test_hang(slow): pass",
    "in a child": "def test_hang(): subprocess.run(['sleep', '600'])",
}
IMPORTS = "import asyncio, signal, subprocess, threading, time, pytest\n"
AFTER = "\ndef test_after(): pass\n@pytest.mark.limit(30)\ndef test_marked(): time.sleep(1)\n"


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    made = session(folder, IMPORTS + code + AFTER, conftest=HOOKS)
    said, _ = made.communicate(timeout=60)
    return subprocess.CompletedProcess([], made.returncode, said)


@pytest.mark.parametrize("code", HANGS.values(), ids=HANGS)
def test_a_hang_fails_with_all_stacks(tmp_path: Path, code: str) -> None:
    done = run(tmp_path, code)
    assert done.returncode == 1 and "test_hang went on for 0.5 s" in done.stdout, done.stdout
    assert "most recent call first" in done.stdout and "2 passed" in done.stdout, done.stdout


def test_what_cannot_be_interrupted_ends_the_process(tmp_path: Path) -> None:
    code = "def test_hang():\n    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(600)"
    done = run(tmp_path, code)
    assert done.returncode == 1 and "Timeout" in done.stdout and "in test_hang" in done.stdout, done.stdout
