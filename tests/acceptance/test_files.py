"""The files trigger and the file actions through the real daemon, with names and links that others make."""

from __future__ import annotations

import base64
import http.server
import os
import threading
from pathlib import Path
from typing import Any

from tests.daemon import Daemon, eventually

FLOW = """
flow: take
when:
  - files: {path: "../inbox/**/*", settle: 0s, poll: 500ms}
do:
  - id: read
    call: file.read
    with: {path: "${{ event.path }}"}
  - id: move
    call: file.move
    with: {path: "${{ event.path }}", to: ../done/}
output:
  name: ${{ event.name }}
  content: ${{ steps.read.content }}
  moved: ${{ steps.move.path }}
"""


def outputs(daemon: Daemon, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        runs = daemon.get("/api/v1/runs")["items"]
        found[:] = [daemon.get(f"/api/v1/runs/{run['id']}") for run in runs]
        return len(found) == count and all(run["status"] in ("succeeded", "failed") for run in found)

    eventually(look, 30, f"there are not {count} runs that ended")
    return found


def test_files_whose_names_are_not_utf8_are_read_and_moved(tmp_path: Path) -> None:
    inbox = os.fsencode(tmp_path / "inbox")
    Path(os.fsdecode(inbox + b"/sub\xfe")).mkdir(parents=True)
    daemon = Daemon(tmp_path)
    daemon.flow("take.yaml", FLOW)
    with daemon:
        for name, held in ((b"sub\xfe/caf\xe9.txt", "hot"), (b"plain.txt", "plain"), (b"lit\\xe9.txt", "literal")):
            partial = Path(os.fsdecode(os.fsencode(tmp_path) + b"/partial"))
            partial.write_text(held)
            partial.rename(Path(os.fsdecode(inbox + b"/" + name)))
        runs = outputs(daemon, 3)
        assert {run["status"] for run in runs} == {"succeeded"}, runs
        made = {run["output"]["name"]: run["output"] for run in runs}
        assert {name: one["content"] for name, one in made.items()} == {
            "caf\\xe9.txt": "hot", "plain.txt": "plain", "lit\\x5cxe9.txt": "literal",
        }  # fmt: skip
        done = sorted(os.fsencode(one.name) for one in (tmp_path / "done").iterdir())
        assert done == [b"caf\xe9.txt", b"lit\\xe9.txt", b"plain.txt"]
        run = next(one for one in runs if one["output"]["name"].startswith("caf"))
        event = daemon.get(f"/api/v1/events/{run['event']}")
        text = str(event)
        assert base64.b64encode(b"caf\xe9.txt").decode() in text and "caf\\\\xe9.txt" in text
        place = len(daemon.log.read_bytes())
    with daemon:
        (tmp_path / "inbox/later.txt").write_text("later")
        runs = outputs(daemon, 4)
        assert "TaskGroup" not in daemon.log.read_bytes()[place:].decode()


class Gate(http.server.ThreadingHTTPServer):
    """Answers when it is opened."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.open = threading.Event()
        super().__init__(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self.server.asked.release()
        self.server.open.wait()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def test_a_link_that_takes_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    """Between the event and the step that reads, the file or a folder above it became a link."""
    (tmp_path / "inbox/sub").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "secret" / name).write_text("secret")
    gate = Gate()
    daemon = Daemon(tmp_path)
    daemon.flow(
        "late.yaml",
        "flow: late\nwhen:\n  - files: {path: '../inbox/**/*.txt', settle: 0s, poll: 500ms, events: [created]}\ndo:\n"
        f"  - call: http.get\n    with: {{url: 'http://127.0.0.1:{gate.server_port}/'}}\n"
        "  - id: read\n    call: file.read\n    with: {path: '${{ event.path }}'}\n"
        "output: ${{ steps.read.content }}\n",
    )
    with daemon:
        for name in ("sub/a.txt", "b.txt"):
            (tmp_path / "inbox" / name).write_text("good")
        for _ in range(2):
            assert gate.asked.acquire(timeout=30)
        (tmp_path / "inbox/sub").rename(tmp_path / "away")
        (tmp_path / "inbox/sub").symlink_to(tmp_path / "secret")
        (tmp_path / "inbox/b.txt").unlink()
        (tmp_path / "inbox/b.txt").symlink_to(tmp_path / "secret/b.txt")
        gate.open.set()
        runs = outputs(daemon, 2)
        assert {run["status"] for run in runs} == {"failed"}
        assert {run["error"]["type"] for run in runs} == {"file.path"}
        assert {run["error"]["retryable"] for run in runs} == {False}
    gate.shutdown()
    gate.server_close()
