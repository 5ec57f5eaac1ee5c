"""Change capture: durable runs a second, and milliseconds from the statement to the event, beside the bare decoder on
the same server in the same run.

    make bench-capture
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import psycopg2
import pymysql
from psycopg2.extras import LogicalReplicationConnection

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402
from tests.bench.order_flow import cpu  # noqa: E402
from tests.brokers.harness import settle  # noqa: E402
from tests.daemon import Daemon  # noqa: E402
from triggers.kit.changes import TableName  # noqa: E402
from triggers.mysql.reader import Reader  # noqa: E402
from triggers.mysql.rows import Reading, Rows, reading  # noqa: E402
from triggers.mysql.table import read_columns  # noqa: E402
from triggers.postgres import pgoutput as wire  # noqa: E402

COUNT = 50_000
SINGLE = 100
SINK = "flow: sink\nwhen: [{%s: {connection: '%s', tables: [bench], operations: [insert]}}]\ndo: []\noutput: ${{ event.new.at }}\n"


def fill(connection: Any, first: int) -> None:
    with connection.cursor() as cursor:
        for place in range(first, first + COUNT, 500):
            values = ",".join(f"({n},0,'name {n}',12.5)" for n in range(place, place + 500))
            cursor.execute(f"INSERT INTO bench VALUES {values}")
            connection.commit()


def single(connection: Any, first: int) -> None:
    with connection.cursor() as cursor:
        for n in range(first, first + SINGLE):
            cursor.execute("INSERT INTO bench VALUES (%s, %s, 'x', 1)", (n, time.time()))
            connection.commit()
            time.sleep(0.02)


def bare_postgres(
    server: Any, write: Callable[[Callable[[Any], None]], None], connect: Callable[[], Any]
) -> tuple[float, float]:
    """Rows a second of psycopg2's stream with our decoder, and the median latency."""
    with contextlib.closing(connect()) as admin:
        admin.autocommit = True
        admin.cursor().execute("CREATE PUBLICATION bare FOR TABLE bench")
        admin.cursor().execute("SELECT pg_create_logical_replication_slot('bare', 'pgoutput')")
    write(lambda connection: fill(connection, 0))
    connection = psycopg2.connect(server.url, connection_factory=LogicalReplicationConnection)
    cursor = connection.cursor()
    options = {"proto_version": "1", "publication_names": "bare"}
    cursor.start_replication(slot_name="bare", decode=False, options=options)
    begun, seen = time.monotonic(), 0
    while seen < COUNT:
        message = cursor.read_message()
        if message is not None:
            seen += isinstance(wire.decode(message.payload), wire.Change)
    rate = COUNT / (time.monotonic() - begun)
    late: list[float] = []
    import threading

    thread = threading.Thread(target=write, args=(lambda other: single(other, COUNT),))
    thread.start()
    while len(late) < SINGLE:
        message = cursor.read_message()
        if message is None:
            time.sleep(0.0002)
            continue
        change = wire.decode(message.payload)
        if isinstance(change, wire.Change) and change.new is not None:
            late.append(time.time() - float(str(change.new[1])))
    thread.join()
    connection.close()
    with contextlib.closing(connect()) as admin:
        admin.autocommit = True
        time.sleep(0.5)
        admin.cursor().execute("SELECT pg_drop_replication_slot('bare')")
    return rate, statistics.median(late) * 1000


def bare_mysql(
    server: Any, write: Callable[[Callable[[Any], None]], None], connect: Callable[[], Any]
) -> tuple[float, float]:
    with connect() as admin, admin.cursor() as cursor:
        cursor.execute("SELECT @@gtid_binlog_pos")
        position = cursor.fetchone()[0]
    write(lambda connection: fill(connection, 0))

    async def describe(table: TableName, body: bytes) -> list[Reading]:
        return [reading(column, "", bytes.decode) for column in read_columns(body, True)]

    async def work() -> tuple[float, float]:
        settings = {"host": server.host, "port": server.port, "user": "root"}
        reader = Reader(settings, 77, position, True, lambda table: table.schema == "shop", describe)
        task = asyncio.create_task(reader.run())
        begun, seen = time.monotonic(), 0
        while seen < COUNT:
            seen += sum(len(item.changes) for item in await reader.next() if isinstance(item, Rows))
        rate = COUNT / (time.monotonic() - begun)
        late: list[float] = []
        writing = asyncio.create_task(asyncio.to_thread(write, lambda other: single(other, COUNT)))
        while len(late) < SINGLE:
            for item in await reader.next():
                if isinstance(item, Rows):
                    late += [time.time() - change.new["at"] for change in item.changes if change.new]
        await writing
        reader.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return rate, statistics.median(late) * 1000

    return asyncio.run(work())


def rows(daemon: Daemon, query: str) -> list[Any]:
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    try:
        return store.execute(query).fetchall()
    finally:
        store.close()


def durable(kind: str, server: Any, write: Callable[[Callable[[Any], None]], None]) -> tuple[float, float, float]:
    """Runs a second, median latency in ms, CPU in µs a run."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        daemon = Daemon(Path(name), "--log-level", "info")
        daemon.flow("sink.yaml", SINK % (kind, server.url))
        daemon.start()
        settle(daemon)
        daemon.stop()
        write(lambda connection: fill(connection, 1_000_000))
        daemon.start()
        settle(daemon)
        begun, before = time.monotonic(), cpu(daemon.pid)
        first = int(rows(daemon, "SELECT count(*) FROM runs")[0][0])
        while int(rows(daemon, "SELECT coalesce(max(seq), 0) FROM runs")[0][0]) < COUNT:
            time.sleep(0.05)
        rate = (COUNT - first) / (time.monotonic() - begun)
        used = (cpu(daemon.pid) - before) / (COUNT - first) * 1e6
        write(lambda connection: single(connection, 2_000_000))
        time.sleep(1)
        late = []
        for run in daemon.get(f"/api/v1/runs?flow=sink&limit={SINGLE}")["items"]:
            created = datetime.datetime.fromisoformat(run["created"]).timestamp()
            late.append(created - float(run["output"]))
        daemon.stop()
    return rate, statistics.median(late) * 1000, used


def main() -> None:
    print(
        f"| server | bare decoder rows/s | durable runs/s | CPU µs a run | bare latency ms | durable latency ms |\n{'|---' * 6}|"
    )
    for kind, server in (("postgres", services.Postgres()), ("mysql", services.Mariadb())):
        server.start()

        def connect(kind: str = kind, server: Any = server) -> Any:
            if kind == "postgres":
                return psycopg2.connect(server.url)
            return pymysql.connect(host=server.host, port=server.port, user="root", database="shop")

        def write(work: Callable[[Any], None], connect: Callable[[], Any] = connect) -> None:
            with contextlib.closing(connect()) as connection:
                work(connection)

        try:
            number = "double precision" if kind == "postgres" else "double"
            table = f"CREATE TABLE bench (n int PRIMARY KEY, at {number}, name varchar(40), price numeric(8,2))"
            with contextlib.closing(connect()) as connection:
                connection.cursor().execute(table)
                connection.commit()
            bare = bare_postgres if kind == "postgres" else bare_mysql
            bare_rate, bare_late = bare(server, write, connect)
            rate, late, used = durable(kind, server, write)
            print(
                f"| {server.name} | {bare_rate:,.0f} | {rate:,.0f} | {used:.0f} | {bare_late:.1f} | {late:.1f} |",
                flush=True,
            )
        finally:
            server.close()


if __name__ == "__main__":
    main()
