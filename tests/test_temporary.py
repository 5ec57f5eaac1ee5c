"""Temporary folders of processes that were killed are removed; those of processes that live, and of others, are not."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reactor.process import temporary

MAKE = "from reactor.process.temporary import make; print(make('reactor-flows-'), flush=True); input()"


def started(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(folder)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_leaves_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, left = started(tmp_path)
    alive, kept = started(tmp_path)
    foreign = tmp_path / "_MEI123456"
    foreign.mkdir()
    link = tmp_path / "_MEIlink"
    link.symlink_to(kept)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.is_dir() and left.parent == tmp_path
    assert temporary.sweep() == [left]
    assert not left.exists() and kept.exists() and foreign.exists() and link.exists()
    alive.communicate("\n")
    assert temporary.sweep() == [kept] and temporary.sweep() == []
