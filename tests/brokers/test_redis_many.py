"""Redis as more than one server: a Sentinel's primary that moves, and a cluster."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests import services
from tests.brokers.harness import numbers, settle
from tests.daemon import Daemon, eventually

OUT = "flow: out\nwhen: [{http: POST /out}]\ndo:\n  - call: redis.stream_add\n    with: {connection: bus, stream: s, data: {n: '${{ event.body.n }}'}}\n"
SINK = "flow: sink\nwhen:\n  - redis: {connection: bus, stream: s, group: g, from: earliest}\ndo: []\noutput: ${{ int(event.data.n) }}\n"


class Replica(services.Redis):
    def __init__(self, primary: services.Redis) -> None:
        super().__init__()
        self.external, self.host, self.port = False, "127.0.0.1", 0
        self.primary = primary

    def command(self) -> list[str]:
        return [*super().command(), "--replicaof", "127.0.0.1", str(self.primary.port)]


class Sentinel(Replica):
    def command(self) -> list[str]:
        settings = self.folder / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nsentinel monitor shop 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
        )
        return ["redis-server", str(settings), "--sentinel"]


class Node(services.Redis):
    """Its bus has the port 10,000 above."""

    def __init__(self) -> None:
        super().__init__()
        self.external, self.host = False, "127.0.0.1"
        while not 0 < (port := services.free_port()) < 55_000:
            time.sleep(0)
        self.port = port

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]


@pytest.fixture
def cluster() -> Iterator[list[Node]]:
    nodes = [Node() for _ in range(3)]
    try:
        for node in nodes:
            node.start()
        made = ["redis-cli", "--cluster", "create", *(f"127.0.0.1:{node.port}" for node in nodes), "--cluster-yes"]
        subprocess.run(made, check=True, capture_output=True)
        yield nodes
    finally:
        for node in nodes:
            node.close()


def test_a_primary_that_moves(tmp_path: Path) -> None:
    primary = services.Redis()
    primary.external, primary.port = False, 0
    primary.start()
    replica, sentinel = Replica(primary), Sentinel(primary)
    try:
        replica.start()
        sentinel.start()
        with redis.Redis(port=sentinel.port) as client:
            eventually(lambda: len(client.sentinel_slaves("shop")) == 1, 30, "the Sentinel does not know the replica")
        daemon = Daemon(tmp_path)
        daemon.flow(
            "connections/bus.yaml",
            f"kind: redis\nsettings: {{url: 'redis+sentinel://127.0.0.1:{sentinel.port}/shop'}}\n",
        )
        daemon.flow("out.yaml", OUT)
        daemon.flow("sink.yaml", SINK)
        with daemon:
            settle(daemon)
            assert daemon.post("/hooks/out?wait", {"n": 1}).status == 200
            eventually(lambda: numbers(daemon) == {1: 1}, 20, "it does not come")
            with redis.Redis(port=replica.port) as client:
                eventually(lambda: client.xlen("s") == 1, 20, "it is not replicated")
            primary.kill()
            eventually(lambda: daemon.post("/hooks/out?wait=5s", {"n": 2}).status == 200, 60, "nothing can be said")
            eventually(lambda: set(numbers(daemon)) == {1, 2}, 60, "it does not listen at the new primary")
            assert numbers(daemon)[1] == 1
    finally:
        for one in (sentinel, replica, primary):
            one.close()


def test_a_cluster(cluster: list[Node], tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "connections/bus.yaml", f"kind: redis\nsettings: {{url: 'redis+cluster://127.0.0.1:{cluster[0].port}'}}\n"
    )
    daemon.flow("out.yaml", OUT)
    daemon.flow("sink.yaml", SINK)
    daemon.flow(
        "jobs.yaml",
        "flow: jobs\nwhen: [{redis: {connection: bus, list: jobs}}]\ndo: [{emit: done, data: '${{ event.data }}'}]\n",
    )
    daemon.flow("done.yaml", "flow: done\nwhen: [{event: done}]\ndo: []\noutput: ${{ event.data }}\n")
    daemon.flow(
        "push.yaml",
        "flow: push\nwhen: [{http: POST /push}]\ndo: [{call: redis.push, with: {connection: bus, list: jobs, data: '${{ event.body.n }}'}}]\n",
    )
    with daemon:
        settle(daemon)
        for n in range(20):
            assert daemon.post("/hooks/out?wait", {"n": n}).status == 200
            assert daemon.post("/hooks/push?wait", {"n": n}).status == 200
        eventually(lambda: numbers(daemon) == dict.fromkeys(range(20), 1), 30, f"{numbers(daemon)}")

        def done() -> list[int]:
            return sorted(
                run["output"] for run in daemon.get("/api/v1/runs?flow=done&status=succeeded&limit=100")["items"]
            )

        eventually(lambda: done() == list(range(20)), 30, "the list's elements do not come")
        daemon.kill()
        daemon.start()
        settle(daemon)
        cluster[1].restart()
        assert (
            daemon.post("/hooks/out?wait", {"n": 20}).status == 200
            or daemon.post("/hooks/out?wait", {"n": 20}).status == 200
        )
        eventually(lambda: 20 in numbers(daemon), 60, "not after a restart")
        for n in range(20):
            assert numbers(daemon)[n] == 1


def test_channels_and_keys_of_a_cluster(cluster: list[Node], tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "connections/bus.yaml", f"kind: redis\nsettings: {{url: 'redis+cluster://127.0.0.1:{cluster[0].port}'}}\n"
    )
    for name, mode in (("one", "channel: c"), ("many", "pattern: 'c*'"), ("keys", "keyspace: 'k*'")):
        daemon.flow(
            f"{name}.yaml",
            f"flow: {name}\nwhen: [{{redis: {{connection: bus, {mode}}}}}]\ndo: []\noutput: ${{{{ event.data }}}}\n",
        )
    with daemon:

        def states() -> dict[str, str]:
            return {
                one["flows"][0]: one["state"] + (one["error"] or "") for one in daemon.get("/api/v1/triggers")["items"]
            }

        eventually(lambda: "cluster" in states()["keys"], 30, "no reason")
        eventually(lambda: states()["one"] == states()["many"] == "listening", 30, "they do not listen")
        with redis.Redis(port=cluster[2].port) as client:
            client.publish("c", "7")
        for name in ("one", "many"):
            eventually(
                lambda name=name: (
                    [run["output"] for run in daemon.get(f"/api/v1/runs?flow={name}&status=succeeded")["items"]] == [7]
                ),
                20,
                f"{name} heard nothing",
            )
