"""The examples of databases, each against its real server."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pymysql
import pytest

from tests import services
from tests.brokers.harness import settle, wait_runs
from tests.daemon import Daemon, eventually

EXAMPLES = Path(__file__).parent.parent.parent / "examples/databases"
PLACES = {"postgresql://postgres@localhost:5432/shop": "POSTGRES", "mysql://root@localhost:3306/shop": "MARIADB"}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.__exit__()


def start(daemon: Daemon, name: str, server: Any) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text().replace("enabled: false\n", "")
    for place in PLACES:
        text = text.replace(place, server.url)
    daemon.flow(f"{name}.yaml", text)
    daemon.start()
    settle(daemon)


def run(server: Any, *queries: str) -> list[Any]:
    if isinstance(server, services.Postgres):
        connection: Any = psycopg2.connect(server.url)
    else:
        connection = pymysql.connect(host=server.host, port=server.port, user="root", database="shop")
    with contextlib.closing(connection), connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
            connection.commit()
        return list(cursor.fetchall()) if cursor.description else []


def test_postgres(daemon: Daemon, postgres_server: services.Postgres) -> None:
    run(
        postgres_server,
        "CREATE TABLE orders (id int PRIMARY KEY, total numeric)",
        "CREATE TABLE large_orders (id int PRIMARY KEY, total numeric)",
    )
    start(daemon, "postgres", postgres_server)
    run(postgres_server, "INSERT INTO orders VALUES (1, 5), (2, 5000.5)")
    assert [one["output"] for one in wait_runs(daemon, "postgres-orders", 1)] == [5000.5]
    assert run(postgres_server, "SELECT id FROM large_orders") == [(2,)]
    (daemon.flows / "postgres.yaml").unlink()
    eventually(
        lambda: run(postgres_server, "SELECT 1 FROM pg_replication_slots") == [], 20, "the slot was not given back"
    )
    run(postgres_server, "DROP TABLE orders, large_orders")


def test_mariadb(daemon: Daemon, mariadb_server: services.Mariadb) -> None:
    run(mariadb_server, "CREATE TABLE prices (sku varchar(9) PRIMARY KEY, price decimal(8,2), note int)", "CREATE TABLE price_changes (sku varchar(9), old decimal(8,2), new decimal(8,2))",
        "INSERT INTO prices VALUES ('a', 1.5, 0)")  # fmt: skip
    start(daemon, "mariadb", mariadb_server)
    run(mariadb_server, "UPDATE prices SET note = 1", "UPDATE prices SET price = 2.25")
    assert [one["output"] for one in wait_runs(daemon, "mariadb-prices", 1)] == [2.25]
    assert [tuple(map(str, row)) for row in run(mariadb_server, "SELECT * FROM price_changes")] == [
        ("a", "1.50", "2.25")
    ]
    run(mariadb_server, "DROP TABLE prices, price_changes")


def test_polling(daemon: Daemon, postgres_server: services.Postgres) -> None:
    run(
        postgres_server,
        "CREATE TABLE jobs (id int PRIMARY KEY, kind text, done timestamptz)",
        "INSERT INTO jobs VALUES (1, 'a', NULL), (2, 'b', now())",
    )
    start(daemon, "polling", postgres_server)
    assert [one["output"] for one in wait_runs(daemon, "claimed-jobs", 1)] == [1]
    run(postgres_server, "DROP TABLE jobs")


def test_visits(daemon: Daemon) -> None:
    shutil.copytree(EXAMPLES / "collections", daemon.flows / "collections")
    daemon.flow("visits.yaml", (EXAMPLES / "visits.yaml").read_text())
    daemon.start()
    assert [daemon.post("/hooks/visits?wait", {"name": name}).json for name in ("ada", "ada", "bob")] == [1, 2, 1]
