"""The trigger suite over the kinds that follow databases, each on its real server."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reactor.registry import TRIGGERS, LazyRegistry
from reactor.testing import trigger_suite
from tests.databases.conftest import Known

pytestmark = pytest.mark.anyio
KINDS = LazyRegistry(TRIGGERS)
POLL = {"query": "SELECT * FROM suite WHERE n > :cursor ORDER BY n", "cursor": "n", "start": -1, "every": "50ms"}


@pytest.mark.parametrize(
    ("kind", "known", "given"),
    [
        ("postgres", "postgres", {"tables": ["suite"]}),
        ("mysql", "mysql", {"tables": ["suite"]}),
        ("sql", "postgres", POLL),
        ("sql", "mysql", POLL),
        ("sql", "sqlite", POLL),
        ("postgres.notify", "postgres", {"channel": "suite"}),
    ],
    indirect=["known"],
)
async def test_suite(kind: str, known: Known, given: dict[str, Any]) -> None:
    cls = KINDS.get(kind)
    options = msgspec.convert({"connection": "x", **given}, cls.Options)
    await known.run("DROP TABLE IF EXISTS suite", "CREATE TABLE suite (n INT PRIMARY KEY)")
    folder = f"/{kind}-{known.dialect}"
    await trigger_suite.becomes_ready_and_stops_promptly(cls, options, folder, known.lent, 15)

    async def make(number: int) -> None:
        await known.run(f"INSERT INTO suite VALUES ({number})")

    if kind != "postgres.notify":  # at most once, as its page says
        await trigger_suite.resumes_where_it_was(cls, options, folder, make, connections=known.lent)
    if kind == "postgres":
        made = trigger_suite.Recorder(folder=folder)
        made.connections = known.lent
        await cls(options).retire(made)
    await known.run("DROP TABLE suite")
