"""What a test leaves behind fails its session, and ends with it: also when the session is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.daemon import eventually

pytestmark = pytest.mark.daemon
ROOT = Path(__file__).parent.parent.parent
INNER = """
from tests.guard import processes
from tests.conftest import _no_process_outlives_the_session

processes.GRACE = 0.2
"""


def session(folder: Path, test: str, *options: str, conftest: str = INNER) -> subprocess.Popen[str]:
    """Another session of pytest with one file of tests, guarded as this one is."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_inner.py").write_text(textwrap.dedent(test))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={folder / 'base'}",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PIDS": str(folder / "pids")}
    return subprocess.Popen(
        [*command, "test_inner.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


LEAVES = """
    import os, subprocess
    from pathlib import Path

    def left(**options):
        process = subprocess.Popen(["sleep", "600"], start_new_session=True, **options)
        Path(os.environ["PIDS"]).write_text(str(process.pid))
        process.returncode = 0  # so that Python does not warn of it

    def test_that_leaves_a_process(tmp_path):
        left({options})
"""


@pytest.mark.parametrize(
    ("options", "more"),
    [("", []), ("", ["-n", "1"]), ("env={}, cwd=tmp_path", [])],
    ids=["alone", "in a worker", "without a word of us"],
)
def test_a_test_that_leaves_a_process_fails_its_session(tmp_path: Path, options: str, more: list[str]) -> None:
    made = session(tmp_path, LEAVES.replace("{options}", options), *more)
    said, _ = made.communicate(timeout=60)
    pid = (tmp_path / "pids").read_text()
    assert made.returncode == 1 and "outlived" in said and f"{pid}: sleep 600" in said, said
    assert options or "test_inner.py::test_that_leaves_a_process" in said, said
    assert not lives(int(pid))


HANGS = """
    import os, subprocess, time
    from pathlib import Path

    def test_that_is_killed(tmp_path):
        process = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True)
        Path(os.environ["PIDS"] + ".part").write_text(f"{os.getpid()} {process.pid}")
        Path(os.environ["PIDS"] + ".part").rename(os.environ["PIDS"])
        time.sleep(600)
"""


@pytest.mark.parametrize("more", [[], ["-n", "1"]], ids=["alone", "in a worker"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_session_leaves_is_ended(tmp_path: Path, more: list[str], number: signal.Signals) -> None:
    made = session(tmp_path, HANGS, *more)
    pids = tmp_path / "pids"
    eventually(pids.exists, 60, "the test does not start")
    tester, process = map(int, pids.read_text().split())
    assert lives(process)
    os.kill(tester, number)
    eventually(lambda: not lives(process), 20, "it outlives the session")
    made.kill()
    made.communicate()


def test_sessions_side_by_side_do_not_see_each_other(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = session(tmp_path / "first", HANGS)
    eventually((tmp_path / "first/pids").exists, 60, "the test does not start")
    second = session(tmp_path / "second", "def test_nothing(tmp_path): pass")
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert lives(int((tmp_path / "first/pids").read_text().split()[1]))
    first.kill()
    first.communicate()
