"""The flows' own data, over a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.collections import load_collections
from plugins.actions import data
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.kit.clock import SystemClock
from reactor.lending.collections import StoreCollections
from reactor.store.memory.store import MemoryStore
from tests.daemon import Daemon, eventually
from tests.flows_help import KINDS
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio
SCHEMA = """
collection: people
schema:
  type: object
  required: [name]
  properties: {name: {type: string}, age: {type: integer}}
"""


@pytest.fixture
def here(tmp_path: Path) -> ActionContext:
    folder = tmp_path / "collections"
    folder.mkdir()
    (folder / "people.yaml").write_text(SCHEMA)
    (folder / "free.yaml").write_text("description: anything\n")
    made = context(tmp_path)
    collections = StoreCollections(MemoryStore(), SystemClock())
    collections.update(load_collections([tmp_path], KINDS))
    made.collections = collections
    return made


async def put(here: ActionContext, key: str, value: Any, writer: str = "", **given: Any) -> Any:
    here.idempotency_key = writer or f"run/{key}"
    return await call(data.Put, here, collection="people", key=key, value=value, **given)


async def test_put_get_delete(here: ActionContext) -> None:
    missing = {"value": 7, "version": 0, "found": False}
    assert await call(data.Get, here, collection="people", key="a", default=7) == missing
    assert await put(here, "a", {"name": "Ada"}) == {"version": 1}
    assert await put(here, "a", {"name": "Ada"}) == {"version": 1}, "the same step again"
    assert await call(data.Get, here, collection="people", key="a") == {
        "value": {"name": "Ada"},
        "version": 1,
        "found": True,
    }
    assert await put(here, "a", {"name": "Ada", "age": 1}, "other", if_version=1) == {"version": 2}
    with pytest.raises(StepFailed) as caught:
        await put(here, "a", {"name": "Eve"}, "third", if_version=1)
    assert caught.value.type == "data.version" and not caught.value.retryable
    assert await call(data.Delete, here, collection="people", key="a") == {"deleted": True}
    assert await call(data.Delete, here, collection="people", key="a") == {"deleted": False}


@pytest.mark.parametrize(
    ("given", "type"),
    [
        ({"collection": "people", "key": "a", "value": {"age": "old"}}, "data.schema"),
        ({"collection": "nowhere", "key": "a", "value": 1}, "data.unknown"),
        ({"collection": "people", "key": "", "value": {"name": "x"}}, "data.key"),
        ({"collection": "people", "key": "x" * 401, "value": {"name": "x"}}, "data.key"),
        ({"collection": "free", "key": "a", "value": "x" * 2_000_000}, "limit"),
    ],
)
async def test_what_does_not_fit_is_said(here: ActionContext, given: dict[str, Any], type: str) -> None:
    with pytest.raises(StepFailed) as caught:
        await call(data.Put, here, **given)
    assert caught.value.type == type, caught.value


async def test_queries(here: ActionContext) -> None:
    people = {"ada": 36, "bob": 9, "cy": 36, "dan": None}
    for key, age in people.items():
        await put(here, key, {"name": key, **({"age": age} if age is not None else {}), "tags": [key[0], 1]})

    async def query(**given: Any) -> list[str]:
        found = await call(data.Query, here, collection="people", **given)
        return [item["key"] for item in found["items"]]

    def where(field: str, how: str, value: Any) -> dict[str, Any]:
        return {"where": [{"field": field, "is": how, "value": value}]}

    assert await query() == ["ada", "bob", "cy", "dan"]
    assert await query(**where("age", "==", 36)) == ["ada", "cy"] and await query(**where("age", "!=", 36)) == [
        "bob",
        "dan",
    ]
    assert await query(**where("age", ">", 9)) == ["ada", "cy"] and await query(**where("age", "<=", 9)) == ["bob"]
    assert await query(**where("age", "<", "z")) == [] and await query(**where("age", "==", True)) == []
    assert await query(**where("name", "in", ["bob", "dan"])) == ["bob", "dan"] and await query(
        **where("tags", "has", "c")
    ) == ["cy"]
    assert await query(**where("key", ">=", "c")) == ["cy", "dan"]
    assert await query(order="-age") == ["ada", "cy", "bob", "dan"] and await query(order="age", limit=2) == [
        "dan",
        "bob",
    ]
    assert await query(prefix="c") == ["cy"] and await query(prefix="x") == []
    page = await call(data.Query, here, collection="people", limit=3)
    assert page["next"] == "cy" and await query(limit=3, after="cy") == ["dan"]
    with pytest.raises(StepFailed):
        await query(order="age", after="a")


async def test_a_query_reads_all_pages(here: ActionContext) -> None:
    for number in range(2500):
        await put(here, f"k{number:05}", {"name": "x", "age": number})
    found = await call(
        data.Query, here, collection="people", where=[{"field": "age", "is": ">=", "value": 2400}], limit=1000
    )
    assert found["count"] == 100 and found["items"][0]["key"] == "k02400"


def test_files_that_are_wrong_are_said_and_flows_know_the_names(tmp_path: Path) -> None:
    folder = tmp_path / "collections"
    folder.mkdir()
    for name, text in {"a.yaml": "schema: {type: 7}\n", "B.yaml": "schema: {}\n", "c.yaml": "colection: x\n", "d.yaml": "", "e.yaml": "collection: f\n", "f.yaml": "{}\n"}.items():  # fmt: skip
        (folder / name).write_text(text)
    said = {
        Path(problem.file).name: problem.message
        for one in load_collections([tmp_path], KINDS)
        for problem in one.problems
    }
    assert set(said) == {"a.yaml", "B.yaml", "c.yaml", "d.yaml", "f.yaml"}, said
    assert "no JSON Schema" in said["a.yaml"] and "a-z" in said["B.yaml"] and "already in" in said["f.yaml"]


def test_a_daemon_keeps_data_over_a_kill(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("collections/counters.yaml", "schema: {type: integer}\n")
    daemon.flow("count.yaml", "flow: count\nwhen: [{http: POST /count}]\nconcurrency: {key: \"'one'\"}\ndo:\n  - id: old\n    call: data.get\n    with: {collection: counters, key: visits, default: 0}\n"
        "  - call: data.put\n    with: {collection: counters, key: visits, value: '${{ steps.old.value + 1 }}', if_version: '${{ steps.old.version }}'}\noutput: ${{ steps.old.value + 1 }}\n")  # fmt: skip
    with daemon:
        assert [daemon.post("/hooks/count?wait", {}).json for _ in range(3)] == [1, 2, 3]
        daemon.kill()
        daemon.start()
        assert daemon.post("/hooks/count?wait", {}).json == 4
        daemon.flow(
            "wrong.yaml", "flow: wrong\nwhen: [manual]\ndo: [{call: data.get, with: {collection: counter, key: x}}]\n"
        )
        eventually(lambda: "did you mean counters?" in daemon.log.read_text(), 10, "no problem is told")


def test_a_secret_is_not_kept_in_the_open(tmp_path: Path) -> None:
    secret = "s3cret/pass#word"
    daemon = Daemon(tmp_path, env={"REACTOR_SECRET_PW": secret})
    daemon.flow("collections/notes.yaml", "{}\n")
    values = {
        "plain": "{a: ['x${{ secrets.pw }}y']}",
        "encoded": "\"${{ base64('user:' + secrets.pw) }}\"",
        "named": "'${{ {secrets.pw: 1} }}'",
        "allowed": "'${{ secrets.pw }}'",
        "free": "'no secret'",
    }
    for name, value in values.items():
        more = ", allow_secrets: true" if name == "allowed" else ""
        daemon.flow(
            f"{name}.yaml",
            f"flow: {name}\nwhen: [{{http: POST /{name}}}]\ndo:\n  - id: put\n    call: data.put\n"
            f"    with: {{collection: notes, key: {name}, value: {value}{more}}}\noutput: ${{{{ steps.put.version }}}}\n",
        )
    daemon.flow(
        "key.yaml",
        "flow: key\nwhen: [{http: POST /key}]\ndo:\n  - call: data.put\n"
        "    with: {collection: notes, key: '${{ secrets.pw }}', value: 1}\n",
    )
    with daemon:
        for name in ("plain", "encoded", "named", "key"):
            answer = daemon.post(f"/hooks/{name}", {})
            assert answer.status == 202 and answer.json.get("runs"), answer.raw
            ended = daemon.wait_run(answer.json["runs"][0]["id"])
            assert ended["status"] == "failed" and ended["error"]["type"] == "data.secret", ended
            assert ended["error"]["retryable"] is False and secret not in str(ended)
        for name in ("allowed", "free"):
            assert daemon.post(f"/hooks/{name}?wait", {}).json == 1
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert kept.count(secret.encode()) >= 1, "the one that was allowed"
