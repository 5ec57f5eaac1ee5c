"""One source's fault is its own: who shares its connection does not notice. Through the daemon, on real servers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psycopg2
import pymysql
import pytest

from tests.brokers.harness import wait_runs
from tests.daemon import Daemon, eventually
from tests.services import Mariadb, Postgres, Service

FLOW = "flow: %s\nwhen:\n  - %s\ndo: []\noutput: ${{ event.data }}\n"


def execute(server: Service, *queries: str) -> None:
    connection: Any
    if isinstance(server, Postgres):
        connection = psycopg2.connect(server.url)
        connection.autocommit = True
    else:
        connection = pymysql.connect(host=server.host, port=server.port, user="root", database="shop", autocommit=True)
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
    connection.close()


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> Any:
    if request.param == "postgres":
        request.getfixturevalue("clean")
        return request.getfixturevalue("postgres_server")
    return request.getfixturevalue("mariadb_server")


def test_a_source_that_is_not_ready_hurts_nobody(server: Postgres | Mariadb, tmp_path: Path) -> None:
    """Missing tables, missing columns, refused statements, NULL in a cursor: the connection stays open throughout, its
    other sources listen once and miss nothing, and each reason is said where people look."""
    kind = "postgres" if isinstance(server, Postgres) else "mysql"
    execute(server, "DROP TABLE IF EXISTS good", "DROP TABLE IF EXISTS late", "CREATE TABLE good (n int PRIMARY KEY, t text)")  # fmt: skip
    place = f"connection: '{server.url}'"
    triggers = {
        "good": f"{kind}: {{{place}, tables: [good], operations: [insert]}}",
        "poll": f"sql: {{{place}, query: 'SELECT n, t FROM good WHERE n > :cursor ORDER BY n', cursor: n, every: 50ms}}",
        "late": f"{kind}: {{{place}, tables: [late], operations: [insert]}}",
        "column": f"sql: {{{place}, query: 'SELECT t FROM good WHERE n > :n', cursor: n, every: 50ms}}",
        "syntax": f"sql: {{{place}, query: 'SELEC :n', cursor: n, every: 50ms}}",
        "nowhere": f"sql: {{{place}, query: 'SELECT * FROM late WHERE n > :n', cursor: n, every: 50ms}}",
    }
    daemon = Daemon(tmp_path)
    for name, trigger in triggers.items():
        daemon.flow(f"{name}.yaml", FLOW % (name, trigger))
    with daemon:

        def items() -> dict[str, Any]:
            return {flow: item for item in daemon.get("/api/v1/triggers")["items"] for flow in item["flows"]}

        def settled() -> bool:
            return all(items()[name]["state"] == "listening" for name in ("good", "poll")) and all(
                items()[name]["error"] for name in ("late", "column", "syntax", "nowhere")
            )

        eventually(settled, 30, "the good ones do not listen, or the bad ones say nothing")
        sources = {name: item["source"] for name, item in items().items()}

        def failed(name: str) -> int:
            return sum(f["fact"] == "source.disconnected" and f["source"] == sources[name] for f in daemon.facts())

        execute(server, *(f"INSERT INTO good VALUES ({n}, 'x')" for n in range(1, 51)))
        eventually(lambda: all(failed(name) >= 4 for name in ("late", "column", "syntax", "nowhere")), 60, "no retries")
        execute(server, *(f"INSERT INTO good VALUES ({n}, 'x')" for n in range(51, 101)))
        for name in ("good", "poll"):
            assert sorted(run["output"]["n"] for run in wait_runs(daemon, name, 100)) == list(range(1, 101))
        said = {name: str(item["error"]) for name, item in items().items()}
        assert "there is no table late" in said["late"] and "a row has no n, the column of the cursor" in said["column"]
        assert "SELEC" in said["syntax"] and "late" in said["nowhere"]
        execute(server, "CREATE TABLE late (n int PRIMARY KEY)")
        eventually(lambda: items()["late"]["state"] == "listening", 90, "it is not taken up when it is there")
        execute(server, "INSERT INTO late VALUES (7)")
        assert [run["output"] for run in wait_runs(daemon, "late", 1)] == [{"n": 7}]
        facts = daemon.facts()
        assert not [fact for fact in facts if fact["fact"] == "connection.lost"]
        listened = [fact["source"] for fact in facts if fact["fact"] == "source.listening"]
        assert listened.count(sources["good"]) == listened.count(sources["poll"]) == 1
        assert daemon.stop() == 0


BAD = {
    "postgres": "CREATE TABLE odd (n int PRIMARY KEY, d date, ts timestamptz, t time); INSERT INTO odd VALUES (1, '0044-03-15 BC', '20000-01-01 00:00+00', '24:00'),"
                " (2, 'infinity', '-infinity', '00:00'), (3, '2026-11-21', '2026-11-21 10:00+00', '10:00')",
    "mysql": "CREATE TABLE odd (n int PRIMARY KEY, d date, ts datetime, t varchar(9) CHARACTER SET utf32); SET sql_mode = 'ALLOW_INVALID_DATES';"
             " INSERT INTO odd VALUES (1, '2024-02-31', '0000-00-00 00:00:00', '🔑'), (2, '0000-00-00', '2024-02-31 10:00:00', 'a'), (3, '2026-11-21', '2026-11-21 10:00:00', 'b')",
}  # fmt: skip
READ = {
    "postgres": [("0044-03-15 BC", "20000-01-01T00:00:00Z", "24:00:00"), ("infinity", "-infinity", "00:00:00"), ("2026-11-21", "2026-11-21T10:00:00Z", "10:00:00")],
    "mysql": [("2024-02-31", "0000-00-00 00:00:00", "🔑"), ("0000-00-00", "2024-02-31 10:00:00", "a"), ("2026-11-21", "2026-11-21T10:00:00", "b")],
}  # fmt: skip


def test_one_datum_stops_no_source(server: Postgres | Mariadb, tmp_path: Path) -> None:
    """Dates that Python has not are read by stream, snapshot and query; a row without its cursor is a dead letter."""
    kind = "postgres" if isinstance(server, Postgres) else "mysql"
    execute(
        server, "DROP TABLE IF EXISTS odd", "DROP TABLE IF EXISTS good", "CREATE TABLE good (n int, id int PRIMARY KEY)"
    )
    execute(server, *BAD[kind].split(";"), "INSERT INTO good VALUES (NULL, 1), (2, 2), (NULL, 3), (4, 4)")
    place = f"connection: '{server.url}'"
    nulls = "NULLS FIRST" if kind == "postgres" else ""
    triggers = {
        "stream": f"{kind}: {{{place}, tables: [odd], operations: [insert], snapshot: initial}}",
        "poll": f"sql: {{{place}, query: 'SELECT * FROM odd WHERE n > :cursor ORDER BY n', cursor: n, every: 50ms}}",
        "nulls": f"sql: {{{place}, query: 'SELECT * FROM good WHERE n > :n OR n IS NULL ORDER BY n {nulls}', cursor: n, every: 50ms}}",
    }  # fmt: skip
    daemon = Daemon(tmp_path)
    for name, trigger in triggers.items():
        daemon.flow(f"{name}.yaml", FLOW % (name, trigger))
    with daemon:
        for name in ("stream", "poll"):
            rows = sorted((run["output"] for run in wait_runs(daemon, name, 3)), key=lambda row: row["n"])
            assert [(row["d"], row["ts"], row["t"]) for row in rows] == READ[kind], name
        execute(server, *BAD[kind].replace("(1,", "(4,").replace("(2,", "(5,").replace("(3,", "(6,").split(";")[1:], "INSERT INTO good VALUES (5, 5)")  # fmt: skip
        for name in ("stream", "poll"):
            rows = sorted((run["output"] for run in wait_runs(daemon, name, 6)), key=lambda row: row["n"])
            assert [(row["d"], row["ts"], row["t"]) for row in rows[3:]] == READ[kind], name
        assert sorted(run["output"]["n"] for run in wait_runs(daemon, "nulls", 3)) == [2, 4, 5]
        invalid = daemon.get("/api/v1/dead-letters")["items"]
        assert sorted(daemon.get(f"/api/v1/events/{item['id']}")["event"]["data"]["id"] for item in invalid) == [1, 3]
        assert all("the row has no n, of the cursor" in str(item["invalid"]) for item in invalid)
        assert daemon.stop() == 0


def test_a_row_that_is_too_large_is_a_dead_letter(server: Postgres | Mariadb, tmp_path: Path) -> None:
    kind = "postgres" if isinstance(server, Postgres) else "mysql"
    execute(server, "DROP TABLE IF EXISTS good", f"CREATE TABLE good (n int PRIMARY KEY, t {'text' if kind == 'postgres' else 'longtext'})")  # fmt: skip
    if kind == "mysql":
        execute(server, "SET GLOBAL max_allowed_packet = 67108864")
    execute(server, *(f"INSERT INTO good VALUES ({n}, repeat('x', {size}))" for n, size in enumerate((9, 9_000_000, 9_000_000, 17_000_000, 9), 1)))  # fmt: skip
    daemon = Daemon(tmp_path)
    daemon.flow("poll.yaml", f"flow: poll\nwhen:\n  - sql: {{connection: '{server.url}', query: 'SELECT * FROM good WHERE n > :n ORDER BY n', cursor: n, every: 50ms}}\ndo: []\noutput: ${{{{ event.row.n }}}}\n")  # fmt: skip
    with daemon:
        assert sorted(run["output"] for run in wait_runs(daemon, "poll", 4)) == [1, 2, 3, 5]
        (dead,) = daemon.get("/api/v1/dead-letters")["items"]
        assert dead["invalid"].endswith('at {"n":4}: the row has 17,000,016 bytes, more than 16,777,216')
        assert daemon.stop() == 0


def test_a_session_that_is_ended_is_one_session(server: Postgres | Mariadb, tmp_path: Path) -> None:
    """An operator ends each of the daemon's sessions: what they did is taken up again, the connection is not lost."""
    kind = "postgres" if isinstance(server, Postgres) else "mysql"
    execute(server, "DROP TABLE IF EXISTS good", "CREATE TABLE good (n int PRIMARY KEY)")
    place = f"connection: '{server.url}'"
    daemon = Daemon(tmp_path)
    daemon.flow("good.yaml", FLOW % ("good", f"{kind}: {{{place}, tables: [good], operations: [insert]}}"))
    query = "SELECT n FROM good WHERE n > :cursor ORDER BY n"
    daemon.flow("poll.yaml", FLOW % ("poll", f"sql: {{{place}, query: '{query}', cursor: n, every: 50ms}}"))
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'reactor'"
    with daemon:
        for n in range(1, 6):
            execute(server, f"INSERT INTO good VALUES ({n})")
            for name in ("good", "poll"):
                assert [run["output"]["n"] for run in wait_runs(daemon, name, n)] == list(range(n, 0, -1))
            if kind == "postgres":
                execute(server, ended)
            else:
                with pymysql.connect(host=server.host, port=server.port, user="root") as connection:
                    cursor = connection.cursor()
                    cursor.execute("SELECT id FROM information_schema.processlist WHERE id <> connection_id()")
                    for (id,) in cursor.fetchall():
                        with contextlib.suppress(pymysql.MySQLError):
                            cursor.execute(f"KILL {id}")
        assert not [fact for fact in daemon.facts() if fact["fact"] == "connection.lost"]
        assert daemon.stop() == 0
