"""The real daemon as a process, on a free port, in a temporary folder."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.guard import processes

EXECUTABLE = os.environ.get("REACTOR_TEST_EXECUTABLE")
COMMAND = [str(Path(EXECUTABLE).absolute())] if EXECUTABLE else [sys.executable, "-m", "reactor"]
"""What the tests of the daemon run: the source, or the executable that the variable names."""
ENDED = ("succeeded", "failed", "cancelled")
"""The statuses of runs that have ended."""


class Answer:
    def __init__(self, status: int, headers: Any, raw: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.raw = raw

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


STARTED: list[Daemon] = []


def end_daemons(folder: Path) -> None:
    """A test that failed leaves its daemon running, which the next test would be blamed for."""
    for daemon in [one for one in STARTED if one.folder.is_relative_to(folder)]:
        STARTED.remove(daemon)
        daemon.__exit__()


class Daemon:
    """`command` is the executable; from source by default."""

    def __init__(
        self, folder: Path, *options: str, env: dict[str, str] | None = None, command: list[str] | None = None
    ) -> None:
        self.folder = folder
        self.flows = folder / "flows"
        self.data = folder / "data"
        self.flows.mkdir(exist_ok=True)
        self.options = options
        self.env = env or {}
        self.command = command or COMMAND
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.place = 0
        self.log = folder / "log.jsonl"

    def flow(self, name: str, text: str) -> None:
        """Writes a flow as an editor would: beside, then renamed."""
        path = self.flows / name
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".{path.name}")
        partial.write_text(text, "utf-8")
        partial.replace(path)

    def start(self, wait: bool = True) -> Self:
        if self not in STARTED:
            STARTED.append(self)
        assert self.process is None or self.process.poll() is not None, "it runs already"
        assert processes.expected, "this test needs the mark `daemon`: tests.guard.kinds did not see that it starts one"
        place = self.place = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.command, "run", "--flows", str(self.flows), "--data", str(self.data),
                    "--listen", "127.0.0.1:0", "--log-format", "json", *self.options,
                ],
                env={**os.environ, **self.env}, stderr=log, stdout=log, cwd=self.folder,
            )  # fmt: skip
        if wait:
            try:
                started = self.wait_log("daemon.started", place)
            except BaseException:
                self.__exit__()
                raise
            self.port = int(started["url"].rpartition(":")[2])
        return self

    @property
    def pid(self) -> int:
        """The process that works: of the one-file executable that is the child."""
        return int(self.wait_log("daemon.started", self.place)["pid"])

    def facts(self, place: int = 0) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        found = []
        for line in self.log.read_bytes()[place:].decode("utf-8", "replace").splitlines():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
        return found

    def wait_log(self, fact: str, place: int = 0, seconds: float = 30.0, **fields: Any) -> dict[str, Any]:
        """The first record of a fact, waited for."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [
                record
                for record in self.facts(place)
                if record["fact"] == fact and all(record.get(key) == value for key, value in fields.items())
            ]
            if not found and self.process is not None and self.process.poll() is not None:
                raise AssertionError(
                    f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}"
                )
            return bool(found)

        eventually(look, seconds, f"no {fact} in the log")
        return found[0]

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        lock = self.data / "reactor.lock"
        eventually(lambda: not lock.exists() or _free(lock), 5, "the killed daemon keeps its lock")

    def stop(self) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def request(
        self, method: str, path: str, data: Any = None, raw: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        sent = dict(headers or {})
        body = raw
        if data is not None:
            body = json.dumps(data).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def get(self, path: str, **headers: str) -> Any:
        answer = self.request("GET", path, headers=headers)
        assert answer.status == 200, (answer.status, answer.raw)
        return answer.json

    def post(self, path: str, data: Any = None, **options: Any) -> Answer:
        return self.request("POST", path, data, **options)

    def wait_run(self, id: str, *status: str, seconds: float = 30.0) -> dict[str, Any]:
        """The run when it has one of the statuses (any ended one unless given)."""
        wanted = status or ENDED
        found: dict[str, Any] = {}

        def look() -> bool:
            found.clear()
            found.update(self.get(f"/api/v1/runs/{id}"))
            return found["status"] in wanted

        eventually(look, seconds, f"{id} never was {' or '.join(wanted)}")
        return found

    def cli(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments], env={**os.environ, **self.env, "REACTOR_DATA": str(self.data)},
            cwd=self.folder, capture_output=True, text=True, timeout=120, check=False, **options,
        )  # fmt: skip


def _free(lock: Path) -> bool:
    """Whether nobody holds the lock: the frozen executable's second process dies a moment after the first."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def eventually(look: Any, seconds: float, message: str) -> None:
    """Waits for a condition of another process."""
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise AssertionError(f"{message} within {seconds:g} s")
        time.sleep(0.01)
