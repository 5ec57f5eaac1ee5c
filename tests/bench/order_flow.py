"""The order flow over HTTP beside a bare aiohttp application, in the same minute, with wrk.

    make bench            all of it
Prints requests a second, p50, p99 and CPU a request of the serving process (from /proc), and checks that every
answered run is in the store.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.daemon import Daemon, eventually  # noqa: E402

SECONDS = int(os.environ.get("REACTOR_BENCH_SECONDS", "5"))
ORDER = """
flow: order
when:
  - http: POST /orders
only_if: event.body.total > 0
do:
  - set: {net: "${{ event.body.total }}"}
  - set: {tax: "${{ vars.net * 0.19 }}"}
  - set: {gross: "${{ vars.net + vars.tax }}"}
output:
  id: ${{ event.body.id }}
  gross: ${{ vars.gross }}
"""
LOOP = """
flow: loop
when: [manual]
vars: {n: 0}
do:
  - while: vars.n < 10000
    max: 10001
    do: [{set: {n: "${{ vars.n + 1 }}"}}]
output: ${{ vars.n }}
"""
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '%s'
"""
BODY: dict[str, Any] = {
    "id": 7, "total": 120.5, "customer": "c-1", "email": "ada@example.org", "items": [{"sku": "a-1", "count": 2}] * 4,
    "note": "x" * 80,
}  # fmt: skip


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024  # type: ignore[union-attr]


def wrk(url: str, connections: int, script: Path, pid: int) -> dict[str, float]:
    before = cpu(pid)
    done = subprocess.run(
        ["wrk", "-t2", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = cpu(pid) - before
    requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))  # type: ignore[union-attr]
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)

    def latency(name: str) -> float:
        value, unit = re.search(rf"{name}%\s+([\d.]+)(us|ms|s)", done.stdout).groups()  # type: ignore[union-attr]
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    return {
        "requests": requests,
        "errors": int(errors.group(1)) if errors else 0,
        "rate": requests / SECONDS,
        "p50": latency("50"),
        "p99": latency("99"),
        "cpu": used / requests * 1e6,
    }


def row(name: str, found: dict[str, float]) -> None:
    print(
        f"| {name} | {found['rate']:,.0f} | {found['p50']:.1f} | {found['p99']:.1f} | {found['cpu']:.0f} | {found['errors']:.0f} |",
        flush=True,
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def slow_requests(daemon: Daemon) -> float:
    """p50 in milliseconds at ten requests a second."""
    times = []
    data = json.dumps(BODY).encode()
    for _ in range(30):
        request = urllib.request.Request(
            f"http://127.0.0.1:{daemon.port}/hooks/orders?wait", data, {"Content-Type": "application/json"}
        )
        begun = time.perf_counter()
        with urllib.request.urlopen(request) as response:
            response.read()
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.1)
    return statistics.median(times)


def pure(daemon: Daemon) -> None:
    pid = daemon.wait_log("daemon.started")["pid"]
    before = cpu(pid)
    for _ in range(3):
        daemon.post("/api/v1/flows/loop/runs?wait=60s", {})
    print(f"\na turn of a 10,000-turn loop: {(cpu(pid) - before) / 30_000 * 1e6:.1f} µs CPU")
    before = cpu(pid)
    for _ in range(50):
        daemon.post("/api/v1/flows/branches/runs?wait=60s", {})
    print(f"100 parallel branches of pure steps, whole request: {(cpu(pid) - before) / 50 * 1e3:.1f} ms CPU")


def many_flows(base: Path, script: Path) -> None:
    print("\n| flows on one path | requests/s | p50 ms | p99 ms | CPU µs | errors |\n|---|---|---|---|---|---|")
    for count in (1, 100, 1000):
        folder = base / f"many{count}"
        folder.mkdir()
        daemon = Daemon(folder, "--log-level", "warning")
        for number in range(count):
            text = ORDER.replace("flow: order", f"flow: order-{number}")
            daemon.flow(f"{number}.yaml", text.replace("event.body.total > 0", f"event.body.id == {number + 7}"))
        with daemon_up(daemon):
            row(str(count), wrk(f"http://127.0.0.1:{daemon.port}/hooks/orders?wait", 64, script, pid_of(daemon)))


def daemon_up(daemon: Daemon) -> Daemon:
    port = free_port()
    daemon.options = (*daemon.options, "--listen", f"127.0.0.1:{port}")
    daemon.start(wait=False)
    daemon.port = port

    def up() -> bool:
        try:
            return bool(daemon.request("GET", "/healthz").status == 200)
        except OSError:
            return False

    eventually(up, 60, "the daemon does not come up")
    daemon.start = lambda wait=True: daemon  # type: ignore[method-assign]
    return daemon


def pid_of(daemon: Daemon) -> int:
    assert daemon.process is not None
    return daemon.process.pid


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        base = Path(name)
        script = base / "post.lua"
        script.write_text(SCRIPT % json.dumps(BODY))
        port = free_port()
        bare = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/bench/baseline.py"), str(port)], stdout=subprocess.PIPE
        )
        assert bare.stdout is not None
        bare.stdout.readline()
        folder = base / "one"
        folder.mkdir()
        daemon = Daemon(folder, "--log-level", "warning")
        daemon.flow("order.yaml", ORDER)
        daemon_up(daemon)
        print("| what | requests/s | p50 ms | p99 ms | CPU µs | errors |\n|---|---|---|---|---|---|")
        answered = 0.0
        for connections in (64, 256):
            row(
                f"bare aiohttp, {connections}",
                wrk(f"http://127.0.0.1:{port}/hooks/orders", connections, script, bare.pid),
            )
            found = wrk(f"http://127.0.0.1:{daemon.port}/hooks/orders?wait", connections, script, pid_of(daemon))
            row(f"durable order flow, {connections}", found)
            answered += found["requests"] - found["errors"]
        time.sleep(1)
        import apsw

        stored = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
        ((runs,),) = stored.execute("SELECT count(*) FROM runs WHERE status = 'succeeded'")
        stored.close()
        assert runs >= answered, (runs, answered)
        print(f"\n{runs:,} succeeded runs in the store for {answered:,.0f} answered requests")
        print(f"p50 at 10 requests a second: {slow_requests(daemon):.1f} ms")
        daemon.kill()
        bare.kill()
        bare.wait()
        bare.stdout.close()
        idle = base / "idle"
        idle.mkdir()
        quiet = Daemon(idle)
        quiet.flow("order.yaml", ORDER)
        quiet.flow("loop.yaml", LOOP)
        branches = ", ".join(f"b{n}: [{{set: {{v{n}: {n}}}}}]" for n in range(100))
        quiet.flow("branches.yaml", f"flow: branches\nwhen: [manual]\ndo: [{{parallel: {{{branches}}}}}]\noutput: 1\n")
        with quiet:
            pid = pid_of(quiet)
            before = cpu(pid)
            time.sleep(5)
            print(f"idle: {memory(pid):.0f} MB resident, {(cpu(pid) - before) / 5 * 100:.2f} % of a core")
            pure(quiet)
        many_flows(base, script)


if __name__ == "__main__":
    main()
