"""The redis trigger, actions and connection against a real server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import redis

from plugins.actions import redis as actions
from plugins.connections.redis import Redis as Kind
from plugins.connections.redis import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.testing import trigger_suite
from tests.brokers.harness import (
    SINK,
    Lent,
    down_and_back,
    each,
    numbers,
    recorder,
    settle,
    share,
    stands_alone,
    survive,
    wait_runs,
)  # fmt: skip
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Redis as Server
from triggers.redis.kind import Redis

pytestmark = pytest.mark.anyio


def adder(server: Server, stream: str) -> Any:
    def publish(part: Sequence[int]) -> None:
        with redis.Redis.from_url(server.url) as client:
            pipe = client.pipeline(transaction=False)
            for n in part:
                pipe.xadd(stream, {"n": n})
            pipe.execute()

    return publish


def pusher(server: Server, name: str) -> Any:
    def publish(part: Sequence[int]) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.rpush(name, *[json.dumps({"n": n}) for n in part])

    return publish


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", **given}, Redis.Options)


@pytest.mark.parametrize(
    "given", [{"channel": "c"}, {"pattern": "p*"}, {"stream": "s0"}, {"list": "l0"}, {"keyspace": "k*"}]
)
async def test_it_becomes_ready_and_stops(redis_server: Server, given: dict[str, str]) -> None:
    made = recorder(Kind, {"url": redis_server.url})
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(Redis(options(**given)).listen, made)
            await made.is_ready.wait()
            group.cancel_scope.cancel()


def test_a_stream_through_kills_and_restarts(redis_server: Server, tmp_path: Path) -> None:
    trigger = f"redis: {{connection: '{redis_server.url}', stream: flood, group: g, from: earliest}}"
    survive(Daemon(tmp_path), redis_server, adder(redis_server, "flood"), trigger)
    with redis.Redis.from_url(redis_server.url) as client:
        (group,) = client.xinfo_groups("flood")
        assert group["pending"] == 0 and group["lag"] == 0, "all acknowledged"


def test_a_list_through_kills_and_restarts(redis_server: Server, tmp_path: Path) -> None:
    trigger = f"redis: {{connection: '{redis_server.url}', list: jobs}}"
    survive(Daemon(tmp_path), redis_server, pusher(redis_server, "jobs"), trigger)
    with redis.Redis.from_url(redis_server.url) as client:
        left = [key for key in client.keys("{jobs}:reactor:*") if client.type(key) in (b"hash", b"list")]
        assert left == [] and client.llen("jobs") == 0


def test_two_daemons_share_a_stream_and_a_list(redis_server: Server, tmp_path: Path) -> None:
    for kind, publish in (
        ("stream: shared, from: earliest", adder(redis_server, "shared")),
        ("list: both", pusher(redis_server, "both")),
    ):
        folders = [tmp_path / f"{kind[:4]}{n}" for n in range(2)]
        for folder in folders:
            folder.mkdir()
        share(
            Daemon(folders[0]),
            Daemon(folders[1]),
            publish,
            f"redis: {{connection: '{redis_server.url}', {kind}}}",
            5000,
        )


def test_a_list_whose_server_forgot_what_it_counted(redis_server: Server, tmp_path: Path) -> None:
    """Numbers of another counter, or of one that was set back by a crash, are not those of before: equal elements are
    new ones, and other elements under a number that was used are not lost."""
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", SINK % f"redis: {{connection: '{redis_server.url}', list: forgot}}")
    push = pusher(redis_server, "forgot")
    with redis.Redis.from_url(redis_server.url) as client, daemon:
        push(range(3))
        eventually(lambda: numbers(daemon) == {0: 1, 1: 1, 2: 1}, 20, f"{numbers(daemon)}")
        eventually(lambda: not client.exists(*client.keys("{forgot}:reactor:of:*") or ["-"]), 10, "not acknowledged")
        client.delete(*client.keys("{forgot}:reactor:*"))
        push(range(3))
        eventually(lambda: numbers(daemon) == {0: 2, 1: 2, 2: 2}, 20, f"{numbers(daemon)}")
        client.set("{forgot}:reactor:number", 0)
        push(range(5, 8))
        eventually(lambda: set(numbers(daemon)) == {0, 1, 2, 5, 6, 7}, 20, f"{numbers(daemon)}")


def test_two_groups_of_a_stream_get_each_message(redis_server: Server, tmp_path: Path) -> None:
    trigger = "redis: {{connection: '{url}', stream: each, group: {one}, from: earliest}}"
    triggers = [trigger.format(url=redis_server.url, one=one) for one in ("one", "two")]
    each(Daemon(tmp_path), adder(redis_server, "each"), triggers)


def test_down_at_the_start_delays_only_its_own(redis_server: Server, tmp_path: Path) -> None:
    trigger = f"redis: {{connection: '{redis_server.url}', stream: late}}"
    down_and_back(Daemon(tmp_path), redis_server, adder(redis_server, "late"), trigger)


def test_what_a_dead_consumer_left_is_taken_over(redis_server: Server, tmp_path: Path) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.xgroup_create("left", "g", id="0", mkstream=True)
        for n in range(5):
            client.xadd("left", {"n": n})
        assert len(client.xreadgroup("g", "gone", {"left": ">"}, count=3)[0][1]) == 3
        client.hset("{heap}:reactor:of:gone", mapping={"900001": '{"n": 1}', "900002": '{"n": 2}'})
        client.sadd("{heap}:reactor:consumers", "gone")
        client.rpush("{heap}:reactor:in", '{"n": 3}')
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", "flow: sink\nwhen:\n"
        f"  - redis: {{connection: '{redis_server.url}', stream: left, group: g, claim_after: 1s}}\n"
        f"  - redis: {{connection: '{redis_server.url}', list: '{{heap}}'}}\n"
        "do: []\noutput: ${{ int(event.data.n) }}\n")  # fmt: skip
    with daemon:
        eventually(lambda: numbers(daemon) == {0: 1, 1: 2, 2: 2, 3: 2, 4: 1}, 20, f"{numbers(daemon)}")


def test_a_group_that_is_gone_goes_on_where_it_was(redis_server: Server, tmp_path: Path) -> None:
    """Somebody destroyed it, or the server lost it: `from: latest` would pass over what comes before it is made again."""
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", SINK % f"redis: {{connection: '{redis_server.url}', stream: gone, group: g}}")
    add = adder(redis_server, "gone")
    with redis.Redis.from_url(redis_server.url) as client:
        add([99])  # before the first start: latest
        with daemon:
            settle(daemon)
            add(range(3))
            eventually(lambda: numbers(daemon) == {0: 1, 1: 1, 2: 1}, 20, f"{numbers(daemon)}")
            client.xgroup_destroy("gone", "g")
            add(range(3, 8))
            eventually(lambda: numbers(daemon) == dict.fromkeys(range(8), 1), 30, f"{numbers(daemon)}")
            client.delete("gone")
            add(range(8, 12))
            eventually(lambda: numbers(daemon) == dict.fromkeys(range(12), 1), 30, f"{numbers(daemon)}")


def test_from_is_meant_once(redis_server: Server, tmp_path: Path) -> None:
    publish = adder(redis_server, "once")
    publish(range(5))
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", f"flow: sink\nwhen: [{{redis: {{connection: '{redis_server.url}', stream: once, from: latest}}}}]\n"
        "do: []\noutput: ${{ int(event.data.n) }}\n")  # fmt: skip
    with daemon:
        settle(daemon)
        publish(range(5, 8))
        eventually(lambda: len(numbers(daemon)) == 3, 20, "not the new ones")
        daemon.kill()
        publish(range(8, 10))
        daemon.start()
        eventually(lambda: set(numbers(daemon)) == {5, 6, 7, 8, 9}, 20, "it began at its end again")


def test_channels_keys_and_fields_of_events(redis_server: Server, tmp_path: Path) -> None:
    url = redis_server.url
    daemon = Daemon(tmp_path)
    daemon.flow("connections/cache.yaml", f"kind: redis\nsettings: {{url: '{url}'}}\n")
    daemon.flow(
        "news.yaml",
        "flow: news\nwhen: [{redis: {connection: cache, pattern: 'news.*'}}]\ndo: []\noutput: {d: '${{ event.data }}', c: '${{ event.channel }}'}\n",
    )
    daemon.flow(
        "keys.yaml",
        "flow: keys\nwhen: [{redis: {connection: cache, keyspace: 'user:*'}}]\ndo: []\noutput: ['${{ event.key }}', '${{ event.event }}']\n",
    )
    daemon.flow(
        "entry.yaml",
        "flow: entry\nwhen: [{redis: {connection: cache, stream: entries}}]\ndo: []\noutput: ['${{ event.id }}', '${{ event.stream }}', '${{ event.data }}']\n",
    )
    with daemon, redis.Redis.from_url(url) as client:
        settle(daemon)
        client.publish("news.sport", '{"goal": 1}')
        client.set("user:7", "x")
        client.set("other", "x")
        id = client.xadd("entries", {"a": "1", "b": b"\xff"}).decode()
        assert wait_runs(daemon, "news", 1)[0]["output"] == {"d": {"goal": 1}, "c": "news.sport"}
        assert [run["output"] for run in wait_runs(daemon, "keys", 1)] == [["user:7", "set"]]
        assert wait_runs(daemon, "entry", 1)[0]["output"] == [id, "entries", {"a": "1", "b": "/w=="}]
        (item,) = daemon.get("/api/v1/connections")["items"]
        assert item["state"] == "connected"
        metrics = daemon.request("GET", "/metrics").raw.decode()
        assert 'reactor_source_lag{kind="redis"' in metrics


def test_what_cannot_be_decoded_is_a_dead_letter(redis_server: Server, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", f"flow: sink\nwhen: [{{redis: {{connection: '{redis_server.url}', list: letters, decode: json}}}}]\n"
        "do: []\noutput: ${{ event.data.n }}\n")  # fmt: skip
    with daemon, redis.Redis.from_url(redis_server.url) as client:
        client.rpush("letters", b"{broken", b'{"n": 1}', b"\xff")
        eventually(lambda: numbers(daemon) == {1: 1}, 20, "the good one does not come")
        eventually(lambda: len(daemon.get("/api/v1/dead-letters")["items"]) == 2, 10, "no dead letters")
        letter = daemon.get("/api/v1/dead-letters")["items"][-1]
        assert "not valid JSON" in letter["invalid"] and letter["verdicts"][0]["verdict"] == "invalid"
        assert letter["verdicts"][0]["flow"] == "sink"
        assert letter["id"] in daemon.cli("dead-letters").stdout
        sent = daemon.cli("dead-letters", "replay", letter["id"], "--with", '{"n": 7}', "--json")
        assert json.loads(sent.stdout)["runs"][0]["flow"] == "sink", sent.stderr
        eventually(lambda: numbers(daemon) == {1: 1, 7: 1}, 10, "it was not sent again")
        assert daemon.cli("dead-letters", "replay", "evt_none").returncode == 1


async def test_actions(redis_server: Server, tmp_path: Path) -> None:
    here = context(tmp_path)
    here.connection = Lent(Kind, {"url": redis_server.url}).lend

    async def act(cls: Any, **given: Any) -> Any:
        return await call(cls, here, connection="x", **given)

    assert await act(actions.Set, key="k", data={"a": 1}, expire="1h") == {"set": True}
    assert await act(actions.Get, key="k", json=True) == {"value": {"a": 1}, "found": True}
    assert await act(actions.Set, key="k", data="x", only_if="absent") == {"set": False}
    assert await act(actions.Get, key="none") == {"value": None, "found": False}
    assert await act(actions.Increment, key="visits", by=5) == {"value": 5}
    assert await act(actions.Push, list="todo", data=[1]) == {"length": 1}
    assert await act(actions.Push, list="todo", data="a", end="left") == {"length": 2}
    assert (await act(actions.StreamAdd, stream="out", data={"a": 1, "b": "x"}))["stream"] == "out"
    assert await act(actions.Publish, channel="nobody", data="x") == {"receivers": 0}
    script = "return {redis.call('GET', KEYS[1]), ARGV[1], tonumber(ARGV[2]) + 1}"
    assert await act(actions.Eval, script=script, keys=["visits"], args=["'; FLUSHALL", 1]) == {
        "value": ["5", "'; FLUSHALL", 2]
    }
    assert await act(actions.Delete, key=["k", "visits", "none"]) == {"deleted": 2}
    for cls, wrong, type in (
        (actions.Get, {"key": "todo"}, "redis.refused"),
        (actions.Get, {"key": "out2", "json": True}, None),
        (actions.Set, {"key": "k", "data": 1, "only_if": "maybe"}, "expression"),
        (actions.Set, {"key": "k", "data": 1, "expire": "soon"}, "expression"),
        (actions.StreamAdd, {"stream": "s", "data": {}}, "expression"),
        (actions.Eval, {"script": "no lua ("}, "redis.refused"),
        (actions.Set, {"key": "k\ud83d", "data": 1}, "expression"),
        (actions.Publish, {"channel": "c\ud83d", "data": 1}, "expression"),
        (actions.Push, {"list": "l", "data": "\ud83d"}, "expression"),
        (actions.StreamAdd, {"stream": "s", "data": {"f\ud83d": 1}}, "expression"),
    ):
        if type is None:
            assert (await act(cls, **wrong))["found"] is False
            continue
        with pytest.raises(StepFailed) as caught:
            await act(cls, **wrong)
        assert caught.value.type == type
    here.connection = Lent(Kind, {"url": "redis://127.0.0.1:1"}).lend
    with pytest.raises(NotConnected):
        await act(actions.Get, key="k")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("stream: typed", "WRONGTYPE"),
        ("list: typed", "WRONGTYPE"),
        ("stream: secret", "no permissions"),
        ("channel: secret", "no permissions"),
        ("keyspace: 'user:*'", "notify-keyspace-events"),
    ],
)
def test_what_cannot_be_read_is_its_own_fault(tmp_path: Path, bad: str, reason: str) -> None:
    server = Server()
    try:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.set("typed", "a text")
            client.config_set("notify-keyspace-events", "")
            client.acl_setuser(
                "limited", enabled=True, passwords=["+p"], commands=["+@all"],
                keys=["typed", "{typed}*"], channels=["news", "__keyspace*"],
            )  # fmt: skip

            def publish(part: Sequence[int]) -> None:
                for n in part:
                    client.publish("news", json.dumps({"n": n}))

            url = f"redis://limited:p@{server.host}:{server.port}/0"
            stands_alone(
                Daemon(tmp_path), f"kind: redis\nsettings: {{url: '{url}'}}\n",
                "redis: {connection: shared, channel: news}", f"redis: {{connection: shared, {bad}}}", publish, reason,
            )  # fmt: skip
    finally:
        server.close()


def test_a_flow_hears_of_a_source_that_fails_again_and_again(redis_server: Server, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "bad.yaml", f"flow: bad\nwhen: [{{redis: {{connection: '{redis_server.url}', list: failing}}}}]\ndo: []\n"
    )
    daemon.flow(
        "alert.yaml", "flow: alert\nwhen: [{event: reactor.source.failing}]\ndo: []\noutput: '${{ event.data }}'\n"
    )
    with redis.Redis.from_url(redis_server.url) as client, daemon:
        settle(daemon)
        client.set("failing", "a text")
        (run,) = wait_runs(daemon, "alert", 1)
        told = run["output"]
        assert (told["count"], told["kind"], told["state"], told["flows"]) == (5, "redis", "not ready", ["bad"])
        assert "WRONGTYPE" in told["error"]
        client.delete("failing")
        settle(daemon)
        assert [one["count"] for one in daemon.facts() if one["fact"] == "source.failing"] == [5]
        assert "WRONGTYPE" not in daemon.cli("triggers").stdout


@pytest.mark.parametrize("given", [{"stream": "away"}, {"list": "awaylist"}, {"channel": "awaychannel"}])
async def test_the_other_side_takes_away_what_it_reads(redis_server: Server, given: dict[str, str]) -> None:
    key = next(iter(given.values()))
    client = redis.Redis.from_url(redis_server.url)

    async def make(number: int) -> None:
        if "stream" in given:
            client.xadd(key, {"n": number})
        elif "list" in given:
            client.rpush(key, number)
        else:
            client.publish(key, number)

    async def delete() -> None:
        client.delete(key)

    async def replace() -> None:
        client.set(key, "a text")

    async def destroy() -> None:
        client.xgroup_destroy(key, "reactor")

    async def kill() -> None:
        client.client_kill_filter(_type="pubsub")

    async def nothing() -> None:
        return None

    ways = {"stream": [(delete, nothing), (replace, delete), (destroy, nothing)], "list": [(replace, delete)]}
    try:
        for take_away, give_back in ways.get(next(iter(given)), [(kill, nothing)]):
            lent = Lent(Kind, {"url": redis_server.url})
            found = await trigger_suite.notices_what_is_taken_away(
                Redis, options(**given), make, take_away, give_back, lent
            )
            assert key in found.warnings[-1]
    finally:
        client.close()


def test_names_that_are_not_utf8(redis_server: Server, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("connections/cache.yaml", f"kind: redis\nsettings: {{url: '{redis_server.url}'}}\n")
    for name, given in (
        ("channel", "pattern: 'odd.*'"), ("keys", "keyspace: 'odd:*'"), ("entry", "stream: oddstream, from: earliest"),
        ("element", "list: oddlist"),
    ):  # fmt: skip
        daemon.flow(
            f"{name}.yaml",
            f"flow: {name}\nwhen: [{{redis: {{connection: cache, {given}}}}}]\ndo: []\noutput: '${{{{ event }}}}'\n",
        )
    with daemon, redis.Redis.from_url(redis_server.url) as client:
        settle(daemon)
        client.publish(b"odd.\xff", b"\xfe")
        client.publish("odd.good", "x")
        client.set(b"odd:\xe9", "x")
        client.set("odd:good", "x")
        client.xadd("oddstream", {b"\xff": "v", "w": b"\xfe", "n": "1"})
        client.xadd("oddstream", {"n": "2"})
        client.rpush("oddlist", b"\xff", "[" * 900 + "]" * 900, "good")

        def outputs(flow: str, count: int) -> list[Any]:
            return [run["output"] for run in wait_runs(daemon, flow, count)][::-1]

        first, second = outputs("channel", 2)
        assert (first["channel"], first["channel_bytes"], first["data"]) == ("odd.\\xff", "b2RkLv8=", "/g==")
        assert second["channel"] == "odd.good" and "channel_bytes" not in second
        first, second = outputs("keys", 2)
        assert (first["key"], first["key_bytes"], second["key"]) == ("odd:\\xe9", "b2RkOuk=", "odd:good")
        first, second = outputs("entry", 2)
        assert first["data"] == {"\\xff": "v", "w": "/g==", "n": "1"}
        assert first["data_bytes"] == {"\\xff": "dg==", "w": "/g=="} and second["data"] == {"n": "2"}
        assert outputs("element", 2)[-1]["data"] == "good", "the next one goes on"
        assert all(item["failures"] == 0 for item in daemon.get("/api/v1/triggers")["items"])


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(url="http://x")) and Kind.problems(Settings(url="redis+sentinel://a:1"))
    assert not Kind.problems(Settings(url="redis+sentinel://a:1,b/main/2"))
    for given in (
        {},
        {"stream": "a", "list": "b"},
        {"stream": "a", "from": "soon"},
        {"stream": "a", "claim_after": "x"},
    ):
        assert Redis.problems(options(**given)), given
