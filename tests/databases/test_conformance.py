"""The trigger suite over the kinds that follow databases, each on its real server."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import AnyTrigger
from reactor.kinds.registry import TRIGGERS, LazyRegistry
from reactor.testing import trigger_suite
from tests.databases.conftest import Known

pytestmark = pytest.mark.anyio
KINDS = LazyRegistry[AnyTrigger](TRIGGERS)
LOOK = 0.05
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


@pytest.mark.parametrize("known", ["postgres", "mysql"], indirect=True)
async def test_the_other_side_takes_away_the_table(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropped, and made anew."""
    monkeypatch.setattr(f"triggers.{known.dialect}.replication.LOOK", LOOK)
    await _takes_away(known, ["DROP TABLE suite"], "CREATE TABLE suite (n INT PRIMARY KEY)")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("known", ["postgres"], indirect=True)
@pytest.mark.parametrize("away", ["publication", "looked at", "slot"])
async def test_the_other_side_takes_away_what_the_source_made(
    known: Known, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes are lost, which is said; it goes on from now, as it was told."""
    ended = (
        "SELECT pg_terminate_backend(active_pid, 5000), pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
    )
    dropped = "DO $$ BEGIN EXECUTE 'DROP PUBLICATION ' || (SELECT pubname FROM pg_publication); END $$"
    given = [ended if away == "slot" else dropped]
    if away == "publication":  # a change that the server would need it for, before anybody looks
        given.append("INSERT INTO suite VALUES (-1)")
    warnings = await _takes_away(known, given, "SELECT 1", after_loss="restart")
    said = "the publication reactor_" if away == "looked at" else "are lost"
    assert any(said in warning for warning in warnings)


async def _takes_away(known: Known, away: list[str], back: str, **given: Any) -> list[str]:
    cls = KINDS.get(known.dialect)
    options = msgspec.convert({"connection": "x", "tables": ["suite"], **given}, cls.Options)
    await known.run("DROP TABLE IF EXISTS suite", "CREATE TABLE suite (n INT PRIMARY KEY)")
    numbers = itertools.count()

    async def make(_: int) -> None:
        await known.run(f"INSERT INTO suite VALUES ({next(numbers)})")

    async def take_away() -> None:
        while True:
            try:
                await known.run(*away)
                return
            except StepFailed as error:
                if "is active" not in str(error):  # the source took the slot again before it could be dropped
                    raise

    async def give_back() -> None:
        await known.run(back)

    found = await trigger_suite.notices_what_is_taken_away(cls, options, make, take_away, give_back, known.lent)
    if known.dialect == "postgres":
        await cls(options).retire(found)
    await known.run("DROP TABLE IF EXISTS suite")
    return found.warnings
