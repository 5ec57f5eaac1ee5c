"""Each database server once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from plugins.connections.mysql import Mysql
from plugins.connections.postgres import Postgres
from plugins.connections.sqlite import Sqlite
from tests import services
from tests.brokers.harness import Lent

DIALECTS = ("postgres", "mysql", "sqlite")


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
