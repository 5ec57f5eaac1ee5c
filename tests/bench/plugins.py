"""Calls of a plugin's action through the host, without the journal, beside a bare exchange of lines with the same
process; and what 50 idle plugins cost the daemon.

    make bench-plugins
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from plugins.host.host import Host  # noqa: E402
from reactor.app import make_kinds  # noqa: E402
from reactor.clock import SystemClock  # noqa: E402
from reactor.observe.log import Observers  # noqa: E402
from tests.bench.order_flow import cpu  # noqa: E402
from tests.daemon import Daemon, eventually  # noqa: E402
from tests.host.test_host import make  # noqa: E402
from triggers._shared import Kind  # noqa: E402

CALLS = 20_000
AT_ONCE = 64
ECHO = """
import json, sys
from pathlib import Path
import hashlib
hash = "sha256:" + hashlib.sha256(Path("plugin.yaml").read_bytes()).hexdigest()
for line in sys.stdin.buffer:
    message = json.loads(line)
    if message.get("method") == "handshake":
        result = {"protocol": 1, "manifest": hash}
    else:
        result = message["params"]["input"]
    sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode() + b"\\n")
    sys.stdout.buffer.flush()
"""
KINDS = "actions: {echo: {summary: Echoes., options: {type: object, properties: {text: {type: string}}}}}\n"


async def bare(folder: Path) -> tuple[float, float]:
    """Calls a second with 64 under way, and the median of one at a time in µs."""
    command = [sys.executable, "plugin.py"]
    async with await anyio.open_process(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "act", "params": {"input": {"text": "hello"}}}).encode()

        async def exchange(count: int, under_way: int) -> None:
            sent = seen = 0
            while seen < count:
                fresh = min(under_way - (sent - seen), count - sent)
                if fresh:
                    await process.stdin.send((line + b"\n") * fresh)
                    sent += fresh
                for answer in (await process.stdout.receive()).splitlines():
                    seen += 1
                    if answer.startswith(b"{") and answer.endswith(b"}"):
                        json.loads(answer)

        begun = time.monotonic()
        await exchange(CALLS, AT_ONCE)
        rate = CALLS / (time.monotonic() - begun)
        times = []
        for _ in range(2000):
            begun = time.perf_counter()
            await exchange(1, 1)
            times.append((time.perf_counter() - begun) * 1e6)
        process.terminate()
    return rate, statistics.median(times)


async def hosted(folder: Path) -> tuple[float, float]:
    kinds = make_kinds(None)
    host = Host([folder], kinds, SystemClock(), Observers(), None, Kind)
    context: Any = SimpleNamespace(run="r", flow="f", step="s", attempt=1, idempotency_key="k", deadline=None)
    async with anyio.create_task_group() as group:
        await host.load(group)
        cls = kinds.actions.get("shop.echo")
        action, options = cls(), cls.Options(text="hello")
        await action.run(options, context)
        left = CALLS

        async def one() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await action.run(options, context)

        begun = time.monotonic()
        async with anyio.create_task_group() as callers:
            for _ in range(AT_ONCE):
                callers.start_soon(one)
        rate = CALLS / (time.monotonic() - begun)
        times = []
        for _ in range(2000):
            begun = time.perf_counter()
            await action.run(options, context)
            times.append((time.perf_counter() - begun) * 1e6)
        await host.stop()
        group.cancel_scope.cancel()
    return rate, statistics.median(times)


def idle() -> None:
    """Processor time of a daemon over 10 s, with 50 plugins and with none."""
    found = []
    for count in (0, 50):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            daemon = Daemon(Path(name), "--plugins", str(Path(name) / "plugins"))
            for number in range(count):
                make(daemon, f"idle{number}")
            with daemon:
                eventually(lambda daemon=daemon, count=count: _up(daemon) == count, 120, "not all are up")
                time.sleep(2)
                before = cpu(daemon.pid)
                time.sleep(10)
                found.append((cpu(daemon.pid) - before) / 10 * 100)
    print(f"\nidle: {found[0]:.1f} % of a core without plugins, {found[1]:.1f} % with 50")


def _up(daemon: Daemon) -> int:
    return sum(1 for item in daemon.get("/api/v1/plugins")["items"] if item["state"] == "up")


def main() -> None:
    os.environ["PLUGIN_MARKS"] = "/dev/null"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = make(SimpleNamespace(folder=Path(name)), "shop", ECHO, KINDS)  # type: ignore[arg-type]
        first, second = anyio.run(bare, folder), anyio.run(hosted, folder)
    print("| | calls/s, 64 under way | one at a time, µs |\n|---|---|---|")
    print(f"| bare lines over the pipes | {first[0]:,.0f} | {first[1]:.0f} |")
    print(f"| through the host | {second[0]:,.0f} | {second[1]:.0f} |")
    print(f"ratio {second[0] / first[0]:.2f}")
    idle()


if __name__ == "__main__":
    main()
