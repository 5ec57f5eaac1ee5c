"""The gate: ten kills under load of four clients lose nothing, double nothing, and repeat no finished step."""

from __future__ import annotations

import collections
import contextlib
import http.client
import json
import random
import threading
import uuid
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually

FLOW = """
flow: order
when:
  - http: POST /orders
only_if: event.body.total > 0
do:
  - id: first
    call: file.append
    with:
      path: marks/
      text: x
  - id: pause
    wait: 50ms
  - set:
      doubled: ${{ event.body.total * 2 }}
output:
  doubled: ${{ vars.doubled }}
"""


@pytest.mark.daemon
def test_ten_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    flow = FLOW.replace("path: marks/", f"path: {tmp_path}/marks.txt").replace("text: x", 'text: "${{ run.id }}\\n"')
    daemon = Daemon(tmp_path)
    daemon.flow("order.yaml", flow)
    random_source = random.Random(7)
    accepted: dict[str, list[str]] = {}
    lock = threading.Lock()
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            key = uuid.uuid4().hex
            while not stop.is_set():
                try:
                    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
                    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=5)
                    with contextlib.closing(connection):
                        connection.request("POST", "/hooks/orders", json.dumps({"total": 5}), headers)
                        response = connection.getresponse()
                        body = json.loads(response.read())
                except (OSError, http.client.HTTPException, ValueError):
                    stop.wait(0.02)
                    continue
                if response.status == 202:
                    with lock:
                        accepted.setdefault(key, []).extend(run["id"] for run in body["runs"])
                    break

    with daemon:
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            before = len(accepted)
            target = before + random_source.randint(5, 60)
            eventually(lambda target=target: len(accepted) >= target, 30, "no load")
            daemon.kill()
            daemon.start()
        stop.set()
        for thread in threads:
            thread.join()
        runs = [ids[0] for ids in accepted.values() if ids]
        assert len(runs) == len(accepted) > 50

        def settled() -> bool:
            return not any(
                daemon.get(f"/api/v1/runs?status={status}&limit=1")["items"]
                for status in ("queued", "running", "waiting", "paused")
            )

        eventually(settled, 60, "runs are still going")
        for id in runs:
            found = daemon.get(f"/api/v1/runs/{id}")
            assert found["status"] == "succeeded", found
            assert found["output"] == {"doubled": 10}
        counted = collections.Counter((tmp_path / "marks.txt").read_text().split())
        assert set(runs) <= set(counted)
        # a keyed step that was in flight at a kill may act twice, one whose result was journaled never
        assert sum(1 for count in counted.values() if count > 1) <= 10 * 64
        stored, cursor = 0, ""
        while True:
            page = daemon.get(f"/api/v1/runs?limit=1000{cursor}")
            stored += len(page["items"])
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert stored == len(counted)
        assert daemon.stop() == 0
