"""What has had its effect is not done again: through the daemon, with a step that would be tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.daemon import Daemon
from tests.databases.test_neighbours import execute
from tests.services import Mariadb, Postgres

FLOW = """flow: write
when: [{http: POST /write}]
do:
  - id: step
    call: sql.execute
    with: {connection: '%s', query: "%s"}
    retry: {times: 3, wait: 10ms}
output: ${{ steps.step }}
"""
ODD = {
    "json": "INSERT INTO written (n) VALUES (1) RETURNING '[1e999]'::json AS odd, ROW(1, 'a') AS r, '-infinity'::date AS d",
    "text": "INSERT INTO written (n) VALUES (1) RETURNING '\\\"\\\\ud83d\\\"'::json AS odd",
    "many": "INSERT INTO written (n) SELECT generate_series(1, 12000) RETURNING n",
    "large": "INSERT INTO written (n) SELECT generate_series(1, 30) RETURNING n, repeat('x', 1000000) AS t",
}  # fmt: skip


def run(folder: Path, url: str, query: str) -> Any:
    daemon = Daemon(folder)
    daemon.flow("write.yaml", FLOW % (url, query))
    with daemon:
        answer = daemon.post("/hooks/write?wait", {})
        run = daemon.get("/api/v1/runs")["items"][0]
        assert daemon.stop() == 0
    return answer, run


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("query", ODD)
def test_postgres(query: str, tmp_path: Path, postgres_server: Postgres) -> None:
    execute(postgres_server, "DROP TABLE IF EXISTS written", "CREATE TABLE written (n int, id serial)")
    answer, run_item = run(tmp_path, postgres_server.url, ODD[query])
    assert answer.status == 200, answer.raw
    assert run_item["status"] == "succeeded"
    import psycopg2

    with psycopg2.connect(postgres_server.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM written")
        assert cursor.fetchone() == ({"json": 1, "text": 1, "many": 12000, "large": 30}[query],)
    output = answer.json
    if query == "json":
        assert output["rows"] == [{"odd": "[1e999]", "r": "(1,a)", "d": "-infinity"}]
    elif query == "text":
        assert output["rows"] == [{"odd": '"\\ud83d"'}]
    else:
        assert output["more"] is True and output["rows"][0]["n"] == 1


@pytest.mark.parametrize(("rows", "size"), [(12000, 1), (30, 1_000_000)])
def test_mariadb(rows: int, size: int, tmp_path: Path, mariadb_server: Mariadb) -> None:
    execute(mariadb_server, "DROP TABLE IF EXISTS written", "CREATE TABLE written (n int)")
    query = f"INSERT INTO written SELECT seq FROM seq_1_to_{rows} RETURNING n, repeat('x', {size}) AS t"
    answer, run_item = run(tmp_path, mariadb_server.url, query)
    assert answer.status == 200 and run_item["status"] == "succeeded", answer.raw
    assert answer.json["more"] is True
    import pymysql

    with pymysql.connect(
        host=mariadb_server.host, port=mariadb_server.port, user="root", database="shop"
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM written")
        assert cursor.fetchone() == (rows,), "all of it is there, and once"


def test_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with apsw.Connection(str(path)) as shop:
        shop.execute("CREATE TABLE written (n INTEGER)")
    query = "INSERT INTO written VALUES (1) RETURNING CAST(x'636166e9' AS TEXT) AS t"
    _, run_item = run(tmp_path, f"sqlite://{path}", query)
    assert run_item["status"] == "failed"
    with apsw.Connection(str(path)) as shop:
        assert shop.execute("SELECT count(*) FROM written").fetchone() == (1,)
