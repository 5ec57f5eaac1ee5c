"""Each database server once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import asyncpg
import pytest

from plugins.connections.mysql import Mysql
from plugins.connections.postgres import Postgres
from plugins.connections.sqlite import Sqlite
from tests import services
from tests.brokers.harness import Lent

DIALECTS = ("postgres", "mysql", "sqlite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real servers start, stop, and take thousands of messages."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.limit(300))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[services.Postgres]:
    one = services.Postgres()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[services.Mariadb]:
    one = services.Mariadb()
    one.start()
    yield one
    one.close()


@pytest.fixture
def clean(postgres_server: services.Postgres) -> Iterator[None]:
    """Afterwards nothing is left at the server: slots and publications outlive a daemon."""
    yield

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_server.url)
        for row in await connection.fetch("SELECT slot_name, active_pid FROM pg_replication_slots"):
            if row["active_pid"]:
                await connection.execute("SELECT pg_terminate_backend($1, 5000)", row["active_pid"])
            await connection.execute("SELECT pg_drop_replication_slot($1)", row["slot_name"])
        for row in await connection.fetch("SELECT pubname FROM pg_publication"):
            await connection.execute(f'DROP PUBLICATION "{row["pubname"]}"')
        for row in await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'shop')"
        ):
            await connection.execute(f"DROP TABLE IF EXISTS {row['name']} CASCADE")
        await connection.close()

    anyio.run(drop)


class Known:
    """A database of one dialect, empty, with a connection to lend."""

    def __init__(self, dialect: str, url: str, kind: Any) -> None:
        self.dialect = dialect
        self.url = url
        self.kind = kind
        self.lent = Lent(kind, {"url": url})

    async def run(self, *queries: str) -> Any:
        async with self.lent.lend("x") as database, database.session(30) as session:
            for query in queries:
                result = await session.run(query)
        return result.rows


@pytest.fixture(params=DIALECTS)
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Known:
    if request.param == "sqlite":
        apsw.Connection(str(tmp_path / "shop.db")).execute("PRAGMA journal_mode = WAL")
        return Known("sqlite", f"sqlite://{tmp_path}/shop.db", Sqlite)
    if request.param == "postgres":
        return Known("postgres", request.getfixturevalue("postgres_server").url, Postgres)
    return Known("mysql", request.getfixturevalue("mariadb_server").url, Mysql)
