"""Calls of a plugin's action through the host, without the journal, beside a bare exchange with the same program: lines
over the pipes, gRPC over the unix socket. And what 50 idle plugins cost the daemon.

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
from reactor.kit.clock import SystemClock  # noqa: E402
from reactor.observe.log import Observers  # noqa: E402
from tests.bench.order_flow import cpu  # noqa: E402
from tests.daemon import Daemon, eventually  # noqa: E402
from tests.host.test_host import make  # noqa: E402

CALLS = 20_000
GRPC_CALLS = 5_000
AT_ONCE = 64
ROUNDS = 3
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
GRPC_ECHO = """
import asyncio, hashlib, os, sys
from pathlib import Path
import grpc, grpc.aio
import plugin_pb2 as pb
hash = "sha256:" + hashlib.sha256(Path("plugin.yaml").read_bytes()).hexdigest()
async def handshake(request, context): return pb.HandshakeResponse(protocol=1, manifest=hash)
async def act(request, context): return pb.ActResponse(result=request.input)
async def attend(requests, context):
    async for one in requests: yield pb.AttendResponse()
async def main():
    server = grpc.aio.server()
    unary = lambda work, one, two: grpc.unary_unary_rpc_method_handler(work, one.FromString, two.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("reactor.plugin.v1.Plugin", {
        "Handshake": unary(handshake, pb.HandshakeRequest, pb.HandshakeResponse), "Act": unary(act, pb.ActRequest, pb.ActResponse),
        "Attend": grpc.stream_stream_rpc_method_handler(attend, pb.AttendRequest.FromString, pb.AttendResponse.SerializeToString),
    }),))
    server.add_insecure_port("unix:" + os.environ["REACTOR_PLUGIN_SOCKET"])
    await server.start()
    await server.wait_for_termination()
asyncio.run(main())
"""
KINDS = "actions: {echo: {summary: Echoes., options: {type: object, properties: {text: {type: string}}}}}\n"


async def bare(folder: Path) -> tuple[float, float]:
    """Calls a second with 64 under way, and the median of one at a time in µs."""
    command = [sys.executable, "plugin.py"]
    async with await anyio.open_process(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "act", "params": {"input": {"text": "hello"}}}).encode()

        async def exchange(count: int, under_way: int) -> None:
            sent = seen = 0
            while seen < count:
                fresh = min(under_way - (sent - seen), count - sent)
                if fresh:
                    await stdin.send((line + b"\n") * fresh)
                    sent += fresh
                for answer in (await stdout.receive()).splitlines():
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


async def bare_grpc(folder: Path) -> tuple[float, float]:
    """The same of the library alone: the same program, the same socket, the same message."""
    import grpc.aio

    from plugins.pb import plugin_pb2

    pb: Any = plugin_pb2
    socket = folder / "bare"
    process = subprocess.Popen(
        [sys.executable, "plugin.py"], cwd=folder, env={**os.environ, "REACTOR_PLUGIN_SOCKET": str(socket)}
    )
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            act = channel.unary_unary(
                "/reactor.plugin.v1.Plugin/Act",
                request_serializer=pb.ActRequest.SerializeToString,
                response_deserializer=pb.ActResponse.FromString,
            )
            request = pb.ActRequest(action="echo", input=b'{"text":"hello"}')
            await act(request, wait_for_ready=True)

            async def call() -> None:
                await act(request)

            return await measure(call, GRPC_CALLS)
    finally:
        process.terminate()
        process.wait()


async def measure(call: Any, calls: int) -> tuple[float, float]:
    """Calls a second with 64 under way, and the median of one at a time in µs."""
    left = calls

    async def one() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    begun = time.monotonic()
    async with anyio.create_task_group() as callers:
        for _ in range(AT_ONCE):
            callers.start_soon(one)
    rate = calls / (time.monotonic() - begun)
    times = []
    for _ in range(2000):
        begun = time.perf_counter()
        await call()
        times.append((time.perf_counter() - begun) * 1e6)
    return rate, statistics.median(times)


async def _refuse(event: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("nothing takes events here")


async def hosted(folder: Path, calls: int) -> tuple[float, float]:
    kinds = make_kinds(None)
    host = Host([folder], kinds, SystemClock(), Observers(), _refuse)
    context: Any = SimpleNamespace(run="r", flow="f", step="s", attempt=1, idempotency_key="k", deadline=None)
    async with anyio.create_task_group() as group:
        await host.load(group)
        cls = kinds.actions.get("shop.echo")
        action, options = cls(), cls.Options(text="hello")
        await action.run(options, context)
        found = await measure(lambda: action.run(options, context), calls)
        await host.stop()
        group.cancel_scope.cancel()
    return found


def idle(protocol: str) -> None:
    """Processor time of a daemon over 10 s, with 50 plugins and with none."""
    found = []
    for count in (0, 50):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            daemon = Daemon(Path(name), "--plugins", str(Path(name) / "plugins"), env={"PLUGIN_PROTOCOL": protocol})
            for number in range(count):
                make(daemon, f"idle{number}")
            with daemon:
                eventually(lambda daemon=daemon, count=count: _up(daemon) == count, 120, "not all are up")
                time.sleep(2)
                before = cpu(daemon.pid)
                time.sleep(10)
                found.append((cpu(daemon.pid) - before) / 10 * 100)
    print(f"\nidle, {protocol}: {found[0]:.1f} % of a core without plugins, {found[1]:.1f} % with 50")


def _up(daemon: Daemon) -> int:
    return sum(1 for item in daemon.get("/api/v1/plugins")["items"] if item["state"] == "up")


def main() -> None:
    os.environ["PLUGIN_MARKS"] = "/dev/null"
    rows = []
    for protocol, code, exchange, calls in (("jsonrpc", ECHO, bare, CALLS), ("grpc", GRPC_ECHO, bare_grpc, GRPC_CALLS)):
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(prefix="bench-") as name:
                place: Any = SimpleNamespace(folder=Path(name), env={"PLUGIN_PROTOCOL": protocol})
                folder = make(place, "shop", code, KINDS)
                rows.append((protocol, anyio.run(exchange, folder), anyio.run(hosted, folder, calls)))
    print("| | bare, calls/s at 64 | host, calls/s at 64 | ratio | bare, one at a time, µs | host, µs | ratio |")
    print("|---|---|---|---|---|---|---|")
    for protocol, (rate, alone), (through, host) in rows:
        print(
            f"| {protocol} | {rate:,.0f} | {through:,.0f} | {through / rate:.2f} | {alone:.0f} | {host:.0f} | {alone / host:.2f} |"
        )
    for protocol in ("jsonrpc", "grpc"):
        idle(protocol)


if __name__ == "__main__":
    main()
