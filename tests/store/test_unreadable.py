"""One row that cannot be read never breaks a list: it is shown in its place, with its reason, and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from reactor.contracts.store import PlanRecord, QueueMessage, Retention, RunFilter
from reactor.server.views import event_item, run_item
from reactor.store.sqlite.store import SqliteStore
from reactor.testing.store_parts import OWNER, accept, over, start

pytestmark = pytest.mark.anyio
BAD_TEXT = "CAST(x'6261fffe64' AS TEXT)"

RUNS = [
    ("status", "'sleeping'"), ("status", BAD_TEXT), ("flow", BAD_TEXT), ("flow", "x'00ff'"), ("environment", "x'ff'"),
    ("environment", "'[1'"), ("events", "x'7b'"), ("output", "x'ff00'"), ("output", "'{'"), ("error", BAD_TEXT),
    ("created", "'yesterday'"), ("started", "x'00'"), ("ended", "9e999"), ("created", "-9e999"), ("created", "1e18"),
    ("parent", "x'ff'"), ("response", "'nothing'"), ("trigger", BAD_TEXT), ("id", BAD_TEXT), ("wake", "'x'"),
]  # fmt: skip
EVENTS = [
    ("event", "x'ff'"), ("event", "'{}'"), ("event", BAD_TEXT), ("verdicts", "x'5b31'"), ("verdicts", BAD_TEXT),
    ("at", "'x'"), ("at", "9e999"), ("type", BAD_TEXT), ("origin", BAD_TEXT), ("flows", "x'00'"), ("id", BAD_TEXT),
    ("invalid", BAD_TEXT),
]  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, 0)
    await made.open()
    for number in range(3):
        await accept(made, start(f"run_{number}", begun=over({"a": number})), id=f"evt_{number}")
    yield made
    await made.close()


def spoil(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path / "reactor.db"))
    db.execute(sql)
    db.close()


@pytest.mark.parametrize(("column", "value"), RUNS)
async def test_a_run(store: SqliteStore, tmp_path: Path, column: str, value: str) -> None:
    spoil(tmp_path, f"UPDATE runs SET {column} = {value} WHERE id = 'run_1'")
    page = await store.runs(RunFilter(), None, 10)
    shown = [run_item(record) for record in page.items]
    assert len(shown) == 3
    assert (shown[0].id, shown[2].id) == ("run_2", "run_0") and shown[2].output == {"a": 0}
    if value not in ("9e999", "-9e999", "1e18"):  # only a date that no calendar has
        error = shown[1].error
        assert error is not None and error["type"] == "corrupt" and "cannot be read" in error["message"]
        assert store.unreadable() == 1
    if column != "id":
        record = await store.run("run_1")
        assert record is not None and run_item(record).id == "run_1"
        assert [one.id for one in (await store.runs(RunFilter(event="evt_1"), None, 10)).items] == ["run_1"]


@pytest.mark.parametrize(("column", "value"), EVENTS)
async def test_an_event(store: SqliteStore, tmp_path: Path, column: str, value: str) -> None:
    spoil(tmp_path, f"UPDATE events SET {column} = {value} WHERE id = 'evt_1'")
    page = await store.events(None, 10)
    shown = [event_item(one) for one in page.items]
    assert [item.id for item in shown][::2] == ["evt_2", "evt_0"] and len(shown) == 3
    if value != "9e999" and column != "type":  # a type is read from the event itself
        assert "cannot be read" in (shown[1].invalid or "") and store.unreadable() == 1
    while await store.prune(1e9, retention(), 10):
        pass
    assert (await store.counts())["events"] == 0


def retention() -> Retention:
    return Retention(age=1.0)


@pytest.mark.parametrize(("column", "value"), RUNS)
async def test_a_run_that_is_due_is_left_to_a_person(
    store: SqliteStore, tmp_path: Path, column: str, value: str
) -> None:
    """Its neighbours are claimed; it is paused with the reason."""
    if column in ("id", "status", "wake"):
        return
    for number in (3, 4, 5):
        await accept(store, start(f"run_{number}"), id=f"evt_{number}")
    spoil(tmp_path, f"UPDATE runs SET {column} = {value} WHERE id = 'run_4'")
    claimed = [one.record.id for one in await store.claim(OWNER, 10, 1000.0)]
    if "run_4" not in claimed:
        record = await store.run("run_4")
        assert record is not None and record.status == "paused" and record.error is not None
        assert record.error["type"] == "corrupt"
        assert [run for run, _ in store.quarantined()] == ["run_4"]
    assert {"run_3", "run_5"} <= set(claimed)


async def test_items_plans_cursors_queues(store: SqliteStore, tmp_path: Path) -> None:
    from reactor.contracts.event import Cursor

    for key in ("a", "b", "c"):
        await store.put_item("people", key, {"k": key}, None, 5.0)
        await store.save_plan(PlanRecord(version=f"v{key}", flow="f", file="f", folder="", source="", language=1))
        await store.move([Cursor("files", key, {"k": key})])
        await store.push([QueueMessage(id=f"msg_{key}", queue="mails", data={"k": key}, at=5.0)])
    for value in ("x'ff'", BAD_TEXT):
        spoil(tmp_path, f"UPDATE items SET value = {value} WHERE key = 'b'")
        spoil(tmp_path, f"UPDATE plans SET record = {value} WHERE version = 'vb'")
        spoil(tmp_path, f"UPDATE cursors SET value = {value} WHERE item = 'b'")
        spoil(tmp_path, f"UPDATE queue SET data = {value} WHERE id = 'msg_b'")
        items = await store.items("people", "", 10)
        assert [item.key for item in items] == ["a", "b", "c"] and "cannot be read" in items[1].value["$lost"]
        one = await store.item("people", "b")
        assert one is not None and "$lost" in one.value
        versions = await store.versions("f")
        assert {plan.version for plan in versions} == {"va", "vb", "vc"} and await store.plan("vb") is None
        assert await store.cursor("files") == {"a": {"k": "a"}, "c": {"k": "c"}}
        taken = await store.take("mails", 10)
        assert [message.data for message in taken] == [{"k": "a"}, None, {"k": "c"}]
        assert taken[1].invalid is not None and "cannot be read" in taken[1].invalid
        (state,) = await store.queues()
        assert state.waiting == 3
    await store.put_item("people", "b", 1, None, 6.0)
    items = await store.items("people", "", 10)
    assert items[1].value == 1 and items[1].version == 2


async def test_they_are_counted_without_being_asked_for(store: SqliteStore, tmp_path: Path) -> None:
    spoil(tmp_path, "UPDATE runs SET environment = x'ff' WHERE id = 'run_1'")
    spoil(tmp_path, "UPDATE events SET event = x'ff' WHERE id = 'evt_2'")
    assert store.unreadable() == 0
    await store.sweep()
    assert store.unreadable() == 2


async def test_a_repeat_of_an_event_that_cannot_be_read_is_still_a_repeat(tmp_path: Path, anyio_backend: str) -> None:
    store = SqliteStore(tmp_path, 0)
    await store.open()
    await accept(store, start("run_1", begun=over()), key="k")
    spoil(tmp_path, f"UPDATE events SET verdicts = {BAD_TEXT}")
    again = await accept(store, start("run_2", begun=over()), id="evt_2", key="k")
    assert again.duplicate and await store.run("run_2") is None
    await store.close()
