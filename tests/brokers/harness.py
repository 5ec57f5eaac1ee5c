"""What every broker must show: nothing lost through kills and restarts, nothing doubled where that is promised."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import apsw
import msgspec

from reactor.testing import trigger_suite
from tests.daemon import ENDED, Daemon, eventually
from tests.services import Service

SINK = "flow: sink\nwhen:\n  - %s\ndo: [{set: {n: '${{ event.data.n }}'}}]\noutput: ${{ int(vars.n) }}\n"


def numbers(daemon: Daemon) -> Counter[int]:
    """How often each number started a run."""
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    try:
        rows = store.execute("SELECT output FROM runs WHERE flow = 'sink'").fetchall()
    finally:
        store.close()
    return Counter(json.loads(output) for (output,) in rows if isinstance(output, bytes | str))


def survive(
    daemon: Daemon, service: Service, publish: Callable[[Sequence[int]], None], trigger: str, count: int = 10_000,
    once: bool = True, acknowledged: Callable[[], bool] = lambda: True,
) -> None:  # fmt: skip
    """Kills the daemon and restarts the broker in the middle of `count` messages."""
    daemon.flow("sink.yaml", SINK % trigger)
    daemon.start()
    settle(daemon)
    parts = [range(count // 2), range(count // 2, count * 3 // 4), range(count * 3 // 4, count)]
    sender = threading.Thread(target=publish, args=(parts[0],))
    sender.start()
    eventually(lambda: len(numbers(daemon)) > count // 20, 60, "nothing comes in")
    daemon.kill()
    sender.join()
    daemon.start()
    publish(parts[1])
    service.restart()
    eventually(lambda: answering(publish, parts[2]), 60, "the broker is not back")
    eventually(lambda: len(numbers(daemon)) >= count, 120, f"only {len(numbers(daemon))} of {count} came")
    found = numbers(daemon)
    assert set(found) == set(range(count)), "none lost"
    if once:
        assert max(found.values()) == 1, f"doubled: {[n for n, times in found.items() if times > 1][:10]}"
    eventually(acknowledged, 30, "not all acknowledged")
    assert daemon.stop() == 0


def answering(publish: Callable[[Sequence[int]], None], part: Sequence[int]) -> bool:
    publish(part)
    return True


def settle(daemon: Daemon, seconds: float = 30.0) -> None:
    """Until all sources listen."""
    eventually(
        lambda: all(item["state"] == "listening" for item in daemon.get("/api/v1/triggers")["items"]),
        seconds,
        "a source does not listen",
    )


def share(first: Daemon, second: Daemon, publish: Callable[[Sequence[int]], None], trigger: str, count: int) -> None:
    """Two daemons in one group: each message at one of them, both at work."""
    for daemon in (first, second):
        daemon.flow("sink.yaml", SINK % trigger)
        daemon.start()
        settle(daemon)
    publish(range(count))
    eventually(lambda: len(numbers(first) + numbers(second)) >= count, 60, "not all came")
    both = numbers(first) + numbers(second)
    assert set(both) == set(range(count)) and max(both.values()) == 1
    assert numbers(first) and numbers(second), "one of them had nothing to do"
    for daemon in (first, second):
        assert daemon.stop() == 0


def each(daemon: Daemon, publish: Callable[[Sequence[int]], None], triggers: Sequence[str], count: int = 50) -> None:
    """Several triggers that read the same messages, each for itself, in one daemon: each gets all of them."""
    for number, trigger in enumerate(triggers):
        daemon.flow(f"each{number}.yaml", (SINK % trigger).replace("flow: sink", f"flow: each{number}"))
    with daemon:
        settle(daemon)
        publish(range(count))
        for number in range(len(triggers)):
            ended = wait_runs(daemon, f"each{number}", count)
            assert sorted(run["output"] for run in ended) == list(range(count)), f"{triggers[number]} has not all"


def memory(daemon: Daemon) -> int:
    text = open(f"/proc/{daemon.pid}/status").read()  # noqa: SIM115, PTH123
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


class Lent:
    """`ctx.connection` for a trigger without a daemon."""

    def __init__(self, kind: Any, options: dict[str, Any]) -> None:
        self.instance = kind(msgspec.convert(options, kind.Options))

    @asynccontextmanager
    async def lend(self, name: str) -> Any:
        client = await self.instance.open()
        try:
            yield client
        finally:
            with anyio.CancelScope(shield=True):
                await self.instance.close(client)
                await anyio.sleep(0.01)


def recorder(kind: Any, options: dict[str, Any], position: dict[str, Any] | None = None) -> trigger_suite.Recorder:
    made = trigger_suite.Recorder(position)
    made.connections = Lent(kind, options)
    return made


def wait_runs(daemon: Daemon, flow: str, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
    """The runs of `flow`, newest first, once at least `count` of them have ended."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        runs = daemon.get(f"/api/v1/runs?flow={flow}&limit=1000")["items"]
        found[:] = [run for run in runs if run["status"] in ENDED]
        return len(found) >= count

    eventually(look, seconds, f"not {count} ended runs of {flow}")
    return found


def down_and_back(daemon: Daemon, service: Service, publish: Callable[[Sequence[int]], None], trigger: str) -> None:
    """A broker that is down at the start delays only its own triggers, and shows."""
    service.stop()
    daemon.flow("sink.yaml", SINK % trigger)
    daemon.flow("other.yaml", "flow: other\nwhen: [{http: POST /other}]\ndo: []\n")
    daemon.start()
    assert daemon.post("/hooks/other?wait", {}).status == 200
    ready = daemon.request("GET", "/readyz")
    assert ready.status == 200 and ready.json["sources"], ready.raw
    (item,) = [one for one in daemon.get("/api/v1/triggers")["items"] if one["kind"] != "http"]
    eventually(lambda: daemon.request("GET", "/readyz").json["sources"] not in ({}, None), 10, "no state")
    service.start()
    settle(daemon, 60)
    publish(range(10))
    eventually(lambda: len(numbers(daemon)) == 10, 30, "it does not listen again")
    assert item["kind"] in trigger
    assert daemon.stop() == 0


def stopwatch() -> Callable[[], float]:
    begun = time.monotonic()
    return lambda: time.monotonic() - begun


def stands_alone(
    daemon: Daemon, connection: str, good: str, bad: str, publish: Callable[[Sequence[int]], None], reason: str,
    failures: int = 4,
) -> None:  # fmt: skip
    """What is wrong with one source is its own: neighbours on the connection lose nothing, and the reason is said in
    words wherever one looks. `good` and `bad` are triggers on the connection `shared`."""
    daemon.flow("connections/shared.yaml", connection)
    daemon.flow("sink.yaml", SINK % good)
    daemon.flow("bad.yaml", f"flow: bad\nwhen:\n  - {bad}\ndo: []\n")

    def item(flow: str) -> Any:
        return next(one for one in daemon.get("/api/v1/triggers")["items"] if one["flows"] == [flow])

    with daemon:
        eventually(lambda: item("sink")["state"] == "listening", 30, "the good one does not listen")
        sent = 0

        def enough() -> bool:
            nonlocal sent
            publish(range(sent, sent + 10))
            sent += 10
            return item("bad")["failures"] >= failures and sent >= 200

        eventually(enough, 60, f"it does not fail: {item('bad')}")
        eventually(lambda: len(numbers(daemon)) == sent, 30, f"{sent - len(numbers(daemon))} of {sent} are lost")
        assert max(numbers(daemon).values()) == 1
        eventually(lambda: item("bad")["state"] == "not ready", 30, f"{item('bad')}")
        found = item("bad")
        assert reason in found["error"] and "TaskGroup" not in found["error"], found
        ready = daemon.request("GET", "/readyz").json
        assert reason in ready["sources"][found["source"]] and ready["connections"] == {}, ready
        assert reason in daemon.cli("triggers").stdout
        assert reason in daemon.request("GET", "/metrics").raw.decode().replace('\\"', '"')
        facts = [one["fact"] for one in daemon.facts()]
        assert "connection.lost" not in facts and facts.count("connection.opened") == 1
