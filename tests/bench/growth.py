"""What grows with what is stored: the store's periodic questions on a small and on a large store.

    .venv/bin/python -m tests.bench.growth                    # this checkout
    .venv/bin/python -m tests.bench.growth ../other-checkout  # in turns with another one, by ratio

Stores are filled by SQL, not by load. Each figure is the median of some rounds, in milliseconds.
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
from typing import Any

SMALL, LARGE = 10_000, 600_000
ROUNDS = 5
FILL = """BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO events (id, type, at, origin, flows, verdicts, event) SELECT 'evt_f' || i, 't', 50000.0 + i / 1e3, 'event',
    'f', CAST('[{{"flow":"f","verdict":"started","run":"run_f' || i || '"}}]' AS BLOB),
    CAST('{{"type":"t","source":"s"}}' AS BLOB) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO runs (id, flow, version, event, trigger, status, created, started, ended, token, next_seq, signal_seq,
    concurrency_limit) SELECT 'run_f' || i, 'f', 'v1', 'evt_f' || i, 'event', 'succeeded', 50000.0, 50000.0,
    50000.0 + i / 1e3, 0, 0, 0, 1 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count} / 10)
INSERT INTO runs (id, flow, version, event, trigger, status, created, started, wake, due, token, next_seq, signal_seq,
    concurrency_limit) SELECT 'run_w' || i, 'f', 'v1', 'evt_f' || i, 'event', 'waiting', 50000.0, 50000.0, 9e8, 9e8,
    0, 0, 0, 1 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count} / 100)
INSERT INTO runs (id, flow, version, event, trigger, status, created, token, next_seq, signal_seq, concurrency_key,
    concurrency_limit, events) SELECT 'run_k' || i, 'k', 'v1', 'evt_f' || i, 'event', 'queued', 50000.0, 0, 0, 0, 'k', 1,
    CAST('[]' AS BLOB) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count} / 10)
INSERT INTO queue (id, queue, at, data) SELECT 'msg_' || i, 'q' || (i % 3), 50000.0, CAST('1' AS BLOB) FROM n;
COMMIT"""


def questions(store: Any, size: int) -> dict[str, Any]:
    from reactor.contracts.event import Event, StoredEvent
    from reactor.contracts.run import Start
    from reactor.contracts.store import Acceptance, Retention

    def accept(number: int) -> Any:
        stored = StoredEvent(id=f"evt_{number}_{time.time_ns()}", event=Event(type="t", source="s"), at=1e5, origin="e")
        start = Start(id=f"run_{time.time_ns()}", flow="k", version="v", trigger="e", at=1e5)
        start.concurrency_key, start.when_busy = "k", "latest"
        return store.accept(Acceptance(event=stored, starts=[start], owner="o"))

    return {
        "join": lambda n: store.join("o", 0.0, 1e12),
        "prune, nothing to do": lambda n: store.prune(60_000.0, Retention(), 500),
        "prune by count": lambda n: store.prune(60_000.0, Retention(count=size // 2), 500),
        "counts (metrics)": lambda n: store.counts(),
        "queues (metrics)": lambda n: store.queues(),
        "next_wake": lambda n: store.next_wake(),
        "claim, nothing due": lambda n: store.claim("o", 64, 60_000.0),
        "take of a queue": lambda n: store.take("q1", 5),
        "accept for a busy slot": accept,
    }


async def measure(folder: Path) -> dict[str, float]:
    import apsw

    from reactor.store.sqlite.store import SqliteStore

    found: dict[str, float] = {}
    for size in (SMALL, LARGE):
        place = folder / str(size)
        store = SqliteStore(place, 0)
        if not place.exists():
            await store.open()
            await store.close()
            db = apsw.Connection(str(place / "reactor.db"))
            db.execute(FILL.format(count=size))
            db.close()
        begun = time.perf_counter()
        await store.open()
        found[f"open {size:,}"] = (time.perf_counter() - begun) * 1000

        for name, ask in questions(store, size).items():
            times = []
            for number in range(ROUNDS):
                begun = time.perf_counter()
                await ask(number)
                times.append(time.perf_counter() - begun)
            found[f"{name} {size:,}"] = statistics.median(times) * 1000
        await store.close()
    return found


def one(tree: Path, folder: Path) -> dict[str, float]:
    """A round in a checkout, as a process of its own."""
    code = "import asyncio, json, sys; sys.path.insert(0, sys.argv[2]); from growth import measure; from pathlib import Path;"
    code += "print(json.dumps(asyncio.run(measure(Path(sys.argv[1])))))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=True, cwd=tree,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    trees = [Path(__file__).parents[2], *(Path(name).resolve() for name in sys.argv[1:2])]
    with tempfile.TemporaryDirectory() as folder:
        rounds: list[list[dict[str, float]]] = [[] for _ in trees]
        for _ in range(3):
            for place, tree in enumerate(trees):
                rounds[place].append(one(tree, Path(folder) / str(place)))
    for name in rounds[0][0]:
        here, *other = [statistics.median(one[name] for one in found) for found in rounds]
        ratio = f"   other {other[0]:10.3f} ms   {other[0] / here:8.1f} x" if other else ""
        print(f"{name:<36} {here:10.3f} ms{ratio}")


if __name__ == "__main__":
    main()
