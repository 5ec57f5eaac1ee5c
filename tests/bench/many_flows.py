"""What many loaded flows cost: the start, an idle daemon, and the longest time that a request waits while one file changes.

python tests/bench/many_flows.py [5000]
"""

from __future__ import annotations

import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.daemon import Daemon, eventually  # noqa: E402

IDLE = 15.0
"""Seconds that the idle daemon is looked at."""
FLOW = """\
flow: flow-{number}
when:
  - http: POST /flow-{number}
only_if: has(event.body.n)
do:
  - {{id: first, call: log, with: {{message: "${{{{ event.body.n }}}}"}}}}
  - if: event.body.n > 3
    then: [{{set: {{large: true}}}}]
    else: [{{set: {{large: false}}}}]
  - {{emit: done-{number}, data: "${{{{ vars.large }}}}"}}
output: {{n: "${{{{ event.body.n }}}}", edition: {edition}}}
"""


class Requests(threading.Thread):
    """Asks for /healthz, one request after the other."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._ended = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ended.is_set():
            begun = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.waits.append(time.perf_counter() - begun)
            self._ended.wait(0.001)
        connection.close()

    def end(self) -> str:
        self._ended.set()
        self.join()
        waits = sorted(self.waits)
        return f"p50 {statistics.median(waits) * 1000:.1f} ms, longest {waits[-1] * 1000:.0f} ms"


def cpu(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(count: int, folder: Path) -> None:
    daemon = Daemon(folder)
    for number in range(count):
        (daemon.flows / f"flow-{number}.yaml").write_text(FLOW.format(number=number, edition=1))
    time.sleep(1.0)
    for what in ("first start", "start with the same flows"):
        begun = time.perf_counter()
        daemon.start()
        print(f"{what}: {time.perf_counter() - begun:.2f} s", flush=True)
        if what == "first start":
            daemon.stop()
    try:
        time.sleep(5.0)
        before = cpu(daemon.pid)
        time.sleep(IDLE)
        print(f"idle: {(cpu(daemon.pid) - before) / IDLE * 100:.1f} % of a core", flush=True)
        requests = Requests(daemon.port)
        requests.start()
        time.sleep(5.0)
        print(f"requests, nothing changes: {requests.end()}", flush=True)
        requests = Requests(daemon.port)
        requests.start()
        before = cpu(daemon.pid)
        for edition in range(2, 7):
            daemon.flow("flow-7.yaml", FLOW.format(number=7, edition=edition))
            begun = time.perf_counter()
            eventually(lambda n=edition: answer(daemon) == n, 60, "not loaded")
            print(f"one file changed: loaded after {time.perf_counter() - begun:.2f} s", flush=True)
        print(f"requests, one file changes: {requests.end()}", flush=True)
        requests = Requests(daemon.port)
        requests.start()
        for number in range(100, 200):
            daemon.flow(f"flow-{number}.yaml", FLOW.format(number=number, edition=2))
        eventually(lambda: answer(daemon, 199) == 2, 60, "not loaded")
        print(f"requests, 100 files change: {requests.end()}", flush=True)
    finally:
        print(f"exit code {daemon.stop()}")


def answer(daemon: Daemon, number: int = 7) -> int:
    found: int = daemon.post(f"/hooks/flow-{number}?wait", {"n": 1}).json["edition"]
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5000, Path(place))
