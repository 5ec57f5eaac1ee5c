"""100,000 changes through kills of the daemon and restarts of the server: each one event, in the order of commits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import psycopg2
import pymysql
import pytest

from tests.brokers.harness import settle, wait_runs
from tests.daemon import Daemon, eventually
from tests.services import Mariadb, Postgres, Service

COUNT = 100_000
SINK = "flow: sink\nwhen:\n  - %s: {connection: '%s', tables: [flood], operations: [insert]}\ndo: []\noutput: ${{ event.new.n }}\n"


class Writer:
    """Writes numbers in order, in transactions of one to 400 rows; a server that is away is asked again."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self.written = 0

    def run(self) -> None:
        connection: Any = None
        size = 1
        while self.written < COUNT:
            size = size * 7 % 401
            part = range(self.written, min(self.written + size, COUNT))
            try:
                connection = connection or self._connect()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT coalesce(max(n), -1) FROM flood")
                    if cursor.fetchone()[0] < part[-1]:
                        cursor.execute("INSERT INTO flood VALUES " + ",".join(f"({n})" for n in part))
                    connection.commit()
                self.written = part[-1] + 1
            except (psycopg2.Error, pymysql.MySQLError, OSError):
                try:
                    if connection is not None:
                        connection.close()
                except (psycopg2.Error, pymysql.MySQLError):
                    pass
                connection = None
                time.sleep(0.05)


def connect(server: Service) -> Any:
    if isinstance(server, Postgres):
        return psycopg2.connect(server.url, connect_timeout=3)
    return pymysql.connect(host=server.host, port=server.port, user="root", database="shop", connect_timeout=3)


def outputs(daemon: Daemon) -> list[int]:
    """What the runs of `sink` put out, in the order of their events."""
    store = apsw.Connection(str(daemon.data / "reactor.db"), flags=apsw.SQLITE_OPEN_READONLY)
    store.set_busy_timeout(10_000)
    try:
        rows = store.execute(
            "SELECT output FROM runs WHERE flow = 'sink' AND output IS NOT NULL ORDER BY event"
        ).fetchall()
    finally:
        store.close()
    return [json.loads(output) for (output,) in rows if isinstance(output, bytes | str)]


def survive(daemon: Daemon, kind: str, server: Service, url: str, connect: Callable[[], Any]) -> None:
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS flood")
        cursor.execute("CREATE TABLE flood (n INT PRIMARY KEY)")
        connection.commit()
    daemon.flow("sink.yaml", SINK % (kind, url))
    daemon.start()
    settle(daemon)
    writer = Writer(connect)
    thread = threading.Thread(target=writer.run)
    thread.start()
    for place, share in enumerate((0.1, 0.25, 0.4, 0.6, 0.8)):
        eventually(lambda share=share: len(outputs(daemon)) > COUNT * share, 120, "it stands still")
        if place % 2 == 0:
            daemon.kill()
            daemon.start()
        elif place == 1:
            server.kill()
            server.start()
        else:
            server.restart()
    thread.join()
    eventually(lambda: len(outputs(daemon)) >= COUNT, 120, f"only {len(outputs(daemon))} of {COUNT}")
    assert outputs(daemon) == list(range(COUNT)), "each once, in the order of the commits"
    assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_100_000_changes(kind: str, tmp_path: Path) -> None:
    server = Postgres() if kind == "postgres" else Mariadb()
    server.start()
    try:
        survive(Daemon(tmp_path), kind, server, server.url, lambda: connect(server))
    finally:
        server.close()


@pytest.mark.usefixtures("clean")
def test_a_daemon_that_moves_keeps_its_slot(tmp_path: Path, postgres_server: Postgres) -> None:
    """In a container of another name, or with its data elsewhere, it is the same daemon: nothing is lost in between."""

    def write(n: int) -> None:
        with connect(postgres_server) as connection, connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO moved VALUES ({n})")
            connection.commit()

    with connect(postgres_server) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS moved")
        cursor.execute("CREATE TABLE moved (n INT PRIMARY KEY)")
        connection.commit()
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", SINK.replace("flood", "moved") % ("postgres", postgres_server.url))
    with daemon:
        settle(daemon)
        write(1)
        eventually(lambda: outputs(daemon) == [1], 20, "it does not come")
        assert daemon.stop() == 0
    write(2)
    daemon.data = daemon.data.rename(tmp_path / "elsewhere")
    with daemon:
        settle(daemon)
        write(3)
        eventually(lambda: outputs(daemon) == [1, 2, 3], 20, f"{outputs(daemon)}")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_two_triggers_on_one_table_get_each_change(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Other options make another source: what one of them has had is not taken from the other."""
    server = request.getfixturevalue("postgres_server" if kind == "postgres" else "mariadb_server")
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS twice")
        cursor.execute("CREATE TABLE twice (n INT PRIMARY KEY)")
        connection.commit()
    daemon = Daemon(tmp_path)
    for name, more in (("some", "operations: [insert]"), ("all", "operations: [insert, delete]")):
        trigger = f"{kind}: {{connection: '{server.url}', tables: [twice], {more}}}"
        daemon.flow(f"{name}.yaml", f"flow: {name}\nwhen:\n  - {trigger}\ndo: []\noutput: ${{{{ event.type }}}}\n")
    with daemon:
        settle(daemon)
        with connect(server) as connection, connection.cursor() as cursor:
            for n in range(20):
                cursor.execute(f"INSERT INTO twice VALUES ({n})")
            cursor.execute("DELETE FROM twice")
            connection.commit()
        assert len(wait_runs(daemon, "some", 20)) == 20
        assert len(wait_runs(daemon, "all", 40)) == 40
