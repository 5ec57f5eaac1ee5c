"""The nats trigger, actions and connection against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import nats
import pytest
from nats.js.api import KeyValueConfig, StreamConfig

from plugins.actions import nats as actions
from plugins.connections.nats import Nats as Kind
from plugins.connections.nats import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from tests.brokers.harness import SINK, Lent, down_and_back, each, numbers, recorder, settle, share, survive, wait_runs
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Nats as Server
from triggers.nats import Nats

pytestmark = pytest.mark.anyio


def using(server: Server, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        client = await nats.connect(server.url, max_reconnect_attempts=1)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def make_stream(server: Server, name: str) -> None:
    using(server, lambda client: client.jetstream().add_stream(StreamConfig(name=name, subjects=[f"{name}.>"])))


def publisher(server: Server, stream: str) -> Callable[[Sequence[int]], None]:
    def publish(part: Sequence[int]) -> None:
        async def work(client: Any) -> None:
            stream_context = client.jetstream(publish_async_max_pending=1000)
            futures = [await stream_context.publish_async(f"{stream}.n", json.dumps({"n": n}).encode()) for n in part]
            await asyncio.gather(*futures)

        using(server, work)

    return publish


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", **given}, Nats.Options)


@pytest.mark.parametrize("given", [{"subject": "a.>"}, {"stream": "ready", "durable": "d"}])
async def test_it_becomes_ready_and_stops(nats_server: Server, given: dict[str, str]) -> None:
    await anyio.to_thread.run_sync(make_stream, nats_server, "ready")
    made = recorder(Kind, {"url": nats_server.url})
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(Nats(options(**given)).listen, made)
            await made.is_ready.wait()
            group.cancel_scope.cancel()


def test_a_stream_through_kills_and_restarts(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "flood")
    trigger = f"nats: {{connection: '{nats_server.url}', stream: flood, durable: d, from: earliest, ack_wait: 3s}}"

    def acknowledged() -> bool:
        info = using(nats_server, lambda client: client.jetstream().consumer_info("flood", "d"))
        return info.num_ack_pending == 0 and info.num_pending == 0

    publish = publisher(nats_server, "flood")
    survive(Daemon(tmp_path), nats_server, publish, trigger, acknowledged=acknowledged)


def test_two_daemons_share_a_consumer(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "shared")
    folders = [tmp_path / str(n) for n in range(2)]
    for folder in folders:
        folder.mkdir()
    trigger = f"nats: {{connection: '{nats_server.url}', stream: shared, durable: d, from: earliest}}"
    share(Daemon(folders[0]), Daemon(folders[1]), publisher(nats_server, "shared"), trigger, 5000)


def test_two_consumers_of_a_stream_get_each_message(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "each")
    trigger = "nats: {{connection: '{url}', stream: each, durable: {one}, from: earliest}}"
    triggers = [trigger.format(url=nats_server.url, one=one) for one in ("one", "two")]
    each(Daemon(tmp_path), publisher(nats_server, "each"), triggers)


def test_down_at_the_start_delays_only_its_own(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "late")
    trigger = f"nats: {{connection: '{nats_server.url}', stream: late}}"
    down_and_back(Daemon(tmp_path), nats_server, publisher(nats_server, "late"), trigger)


def test_from_is_meant_once_and_a_stream_made_anew_is_another(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "once")
    publish = publisher(nats_server, "once")
    publish(range(5))
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", f"flow: sink\nwhen: [{{nats: {{connection: '{nats_server.url}', stream: once}}}}]\n"
        "do: []\noutput: ${{ event.data.n }}\n")  # fmt: skip
    with daemon:
        settle(daemon)
        publish(range(5, 8))
        eventually(lambda: len(numbers(daemon)) == 3, 20, "not the new ones")
        daemon.kill()
        publish(range(8, 10))
        daemon.start()
        eventually(lambda: set(numbers(daemon)) == {5, 6, 7, 8, 9}, 20, "it began at its end again")
        using(nats_server, lambda client: client.jetstream().delete_stream("once"))
        make_stream(nats_server, "once")

        def again() -> bool:
            settle(daemon)
            publish([100])
            return 100 in numbers(daemon)

        eventually(again, 40, "the new stream is not read")


def test_a_consumer_that_is_gone_goes_on_where_it_was(nats_server: Server, tmp_path: Path) -> None:
    """Somebody deleted it: `from: latest` would pass over what comes before it is made again."""
    make_stream(nats_server, "gone")
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", SINK % f"nats: {{connection: '{nats_server.url}', stream: gone, durable: d}}")
    publish = publisher(nats_server, "gone")
    publish([99])  # before the first start: latest
    with daemon:
        settle(daemon)
        publish(range(3))
        eventually(lambda: numbers(daemon) == {0: 1, 1: 1, 2: 1}, 20, f"{numbers(daemon)}")
        using(nats_server, lambda client: client.jetstream().delete_consumer("gone", "d"))
        publish(range(3, 8))
        eventually(lambda: numbers(daemon) == dict.fromkeys(range(8), 1), 40, f"{numbers(daemon)}")


def test_subjects_replies_buckets_and_fields(nats_server: Server, tmp_path: Path) -> None:
    using(nats_server, lambda client: client.jetstream().create_key_value(KeyValueConfig(bucket="settings")))
    daemon = Daemon(tmp_path)
    daemon.flow("connections/bus.yaml", f"kind: nats\nsettings: {{url: '{nats_server.url}'}}\n")
    daemon.flow(
        "core.yaml",
        "flow: core\nwhen: [{nats: {connection: bus, subject: 'core.*', queue_group: g}}]\ndo: []\noutput: ['${{ event.subject }}', '${{ event.data }}', '${{ event.headers }}']\n",
    )
    daemon.flow(
        "reply.yaml",
        "flow: reply\nwhen: [{nats: {connection: bus, subject: double}}]\ndo:\n  - respond: {json: {n: '${{ event.data.n * 2 }}'}}\n    only_if: event.data.n != 0\noutput: none\n",
    )
    daemon.flow(
        "kv.yaml",
        "flow: kv\nwhen: [{nats: {connection: bus, bucket: settings, from: earliest}}]\ndo: []\noutput: ['${{ event.key }}', '${{ event.operation }}', '${{ event.data }}']\n",
    )
    with daemon:
        settle(daemon)

        async def work(client: Any) -> Any:
            await client.publish("core.a", b'{"x": 1}', headers={"h": "v"})
            reply = await client.request("double", b'{"n": 21}', timeout=10)
            passed = await client.request("double", b'{"n": 0}', timeout=10)
            assert passed.data == b'"none"', "a run that does not reach its respond answers with its output"
            refused = await client.request("double", b'{"n": "a"}', timeout=10)
            bucket = await client.jetstream().key_value("settings")
            await bucket.put("theme", b"dark")
            await bucket.delete("theme")
            return json.loads(reply.data), dict(refused.headers or {})

        reply, headers = using(nats_server, work)
        assert reply == {"n": 42}, "answered by respond"
        assert wait_runs(daemon, "core", 1)[0]["output"] == ["core.a", {"x": 1}, {"h": "v"}]
        outputs = [run["output"] for run in wait_runs(daemon, "kv", 2)]
        assert outputs[::-1] == [["theme", "put", "dark"], ["theme", "delete", None]]
        assert headers == {} or "Nats-Service-Error" in headers


def test_what_cannot_be_decoded_is_a_dead_letter(nats_server: Server, tmp_path: Path) -> None:
    make_stream(nats_server, "letters")
    daemon = Daemon(tmp_path)
    daemon.flow("sink.yaml", f"flow: sink\nwhen: [{{nats: {{connection: '{nats_server.url}', stream: letters, decode: json, from: earliest}}}}]\n"
        "do: []\noutput: ${{ event.data.n }}\n")  # fmt: skip

    async def work(client: Any) -> None:
        for raw in (b"{broken", b'{"n": 1}'):
            await client.jetstream().publish("letters.n", raw)

    using(nats_server, work)
    with daemon:
        eventually(lambda: numbers(daemon) == {1: 1}, 20, "the good one does not come")
        (letter,) = daemon.get("/api/v1/dead-letters")["items"]
        assert "no json" in letter["invalid"]
    info = using(nats_server, lambda client: client.jetstream().consumer_info("letters", "reactor"))
    assert info.num_ack_pending == 0, "a poisoned message is not delivered again"


async def test_actions(nats_server: Server, tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(make_stream, nats_server, "acts")
    client = await nats.connect(nats_server.url)
    await client.jetstream().create_key_value(KeyValueConfig(bucket="kv"))

    async def echo(message: Any) -> None:
        await message.respond(message.data[::-1])

    await client.subscribe("echo", cb=echo)
    here = context(tmp_path)
    here.connection = Lent(Kind, {"url": nats_server.url}).lend

    async def act(cls: Any, **given: Any) -> Any:
        return await call(cls, here, connection="x", **given)

    made = await act(actions.Publish, subject="acts.a", data={"a": 1}, jetstream=True)
    assert made["stream"] == "acts" and made["duplicate"] is False
    assert (await act(actions.Publish, subject="acts.a", data={"a": 1}, jetstream=True))["duplicate"] is True, (
        "the same key"
    )
    assert (await act(actions.Publish, subject="nobody"))["stream"] is None
    assert (await act(actions.Request, subject="echo", data="abc"))["data"] == "cba"
    first = (await act(actions.KvPut, bucket="kv", key="a", data={"x": 1}, revision=0))["revision"]
    assert await act(actions.KvGet, bucket="kv", key="a") == {"value": {"x": 1}, "revision": first, "found": True}
    assert (await act(actions.KvPut, bucket="kv", key="a", data="y", revision=first))["revision"] == first + 1
    assert (await act(actions.KvGet, bucket="kv", key="none"))["found"] is False
    for cls, wrong, type in (
        (actions.KvPut, {"bucket": "kv", "key": "a", "data": 1, "revision": first}, "nats.revision"),
        (actions.Request, {"subject": "nobody", "timeout": "1s"}, "nats.nobody"),
        (actions.Publish, {"subject": "no.stream", "jetstream": True}, "nats.refused"),
        (actions.Publish, {"subject": "a b"}, "expression"),
        (actions.Publish, {"subject": "a.>"}, "expression"),
        (actions.KvGet, {"bucket": "none", "key": "a"}, "nats.refused"),
        (actions.Request, {"subject": "echo", "timeout": "soon"}, "expression"),
    ):
        with pytest.raises(StepFailed) as caught:
            await act(cls, **wrong)
        assert caught.value.type == type, (cls, wrong, caught.value)
    await client.close()
    here.connection = Lent(Kind, {"url": "nats://127.0.0.1:1"}).lend
    with pytest.raises(NotConnected):
        await act(actions.Publish, subject="a")


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(url="http://x")) and Kind.problems(Settings(url="nats://x", user="a", token="b"))
    for given in (
        {},
        {"stream": "a", "bucket": "b"},
        {"stream": "a", "queue_group": "g"},
        {"stream": "a", "durable": "a.b"},
        {"subject": "a b"},
    ):
        assert Nats.problems(options(**given)), given
