"""The nats trigger, actions and connection against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, KeyValueConfig, StreamConfig
from nats.js.errors import NoStreamResponseError

from plugins.actions import nats as actions
from plugins.connections.nats import Nats as Kind
from plugins.connections.nats import Settings
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
from tests.services import Nats as Server
from triggers.nats.kind import Nats

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
        return (info.num_ack_pending, info.num_pending) == (0, 0)

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
        assert "not valid JSON" in letter["invalid"]
        eventually(lambda: all_acknowledged(nats_server, "letters"), 20, "a poisoned message is delivered again")


def all_acknowledged(server: Server, stream: str) -> bool:
    info = using(server, lambda client: client.jetstream().consumer_info(stream, "reactor"))
    return bool(info.num_ack_pending == 0 and info.num_pending == 0)


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
        (actions.Publish, {"subject": "a..b"}, "expression"),
        (actions.Publish, {"subject": "a\ud83d"}, "expression"),
        (actions.Publish, {"subject": "a" * 5000}, "expression"),
        (actions.Publish, {"subject": "acts.a", "data": "\ud83d"}, "expression"),
        (actions.Publish, {"subject": "acts.a", "headers": {"h": "a\r\nb: c"}}, "expression"),
        (actions.Publish, {"subject": "acts.a", "headers": {"h": "\ud83d"}}, "expression"),
        (actions.Publish, {"subject": "acts.a", "headers": {"a b": "x"}}, "expression"),
        (actions.Publish, {"subject": "acts.a", "headers": {"": "x"}}, "expression"),
        (actions.Publish, {"subject": "acts.a", "data": "x" * 2_000_000}, "limit"),
        (actions.Publish, {"subject": "acts.a", "headers": {"h": "x" * 1_048_570}}, "limit"),
        (actions.KvPut, {"bucket": "kv", "key": "a b", "data": 1}, "expression"),
        (actions.KvPut, {"bucket": "k v", "key": "a", "data": 1}, "expression"),
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


def raw_publish(server: Server, *commands: bytes) -> None:
    """Writes what no library would write; PONG says that the server took it."""
    with socket.create_connection((server.host, server.port), timeout=10) as client, client.makefile("rb") as answers:
        answers.readline()
        client.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n')
        client.sendall(b"".join(commands) + b"PING\r\n")
        assert answers.readline() == b"PONG\r\n"


def hpub(subject: bytes, block: bytes, data: bytes) -> bytes:
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject, len(block), len(block) + len(data), block, data)


def pub(subject: bytes, data: bytes) -> bytes:
    return b"PUB %b %d\r\n%b\r\n" % (subject, len(data), data)


ODD = [
    (b"NATS/1.0\r\nh: \xff\xfe\r\n\r\n", b'{"n": 1}'),
    (b"NATS/1.0\r\n\xff: v\r\n\r\n", b'{"n": 2}'),
    (b"NATS/1.0\r\nStatus: 404\r\nDescription: No Messages\r\n\r\n", b'{"n": 3}'),
    (b"NATS/1.0\r\nStatus: 503\r\n\r\n", b""),
    (b"NATS/1.0 404 No Messages\r\n\r\n", b""),
    (b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b""),
    (b"NATS/1.0 409 Consumer Deleted\r\n\r\n", b'{"n": 7}'),
    (b"NATS/1.0 \xff\xff\xff \xfe\r\n\r\n", b'{"n": 8}'),
    (b"NATS/1.0\r\nno colon\r\n: no name\r\n\r\n", b'{"n": 9}'),
    (b"NATS/1.0\r\na: 1\r\nb: x\r\na: 2\r\n\r\n", b'{"n": 10}'),
]
"""Headers and data of messages that a library could stumble over, or take for the server's own."""


@pytest.mark.parametrize("mode", ["core", "jetstream"])
def test_what_looks_like_control_or_is_not_utf8_is_an_event(nats_server: Server, tmp_path: Path, mode: str) -> None:
    make_stream(nats_server, f"odd{mode}")
    source = f"subject: 'odd{mode}.>'" if mode == "core" else f"stream: odd{mode}, from: earliest"
    daemon = Daemon(tmp_path)
    daemon.flow("connections/bus.yaml", f"kind: nats\nsettings: {{url: '{nats_server.url}'}}\n")
    daemon.flow(
        "odd.yaml",
        f"flow: odd\nwhen: [{{nats: {{connection: bus, {source}}}}}]\ndo: []\noutput: '${{{{ event }}}}'\n",
    )
    with daemon:
        settle(daemon)
        subject = b"odd%b." % mode.encode()
        raw_publish(
            nats_server,
            *[hpub(subject + b"%d" % number, *one) for number, one in enumerate(ODD)],
            pub(subject + b"caf\xe9", b'{"n": 20}'),
            pub(subject + b"last", b'{"n": 21}'),
        )
        events = {run["output"]["subject"].rpartition(".")[2]: run["output"] for run in wait_runs(daemon, "odd", 12)}
        assert events["0"]["headers"] == {"h": "\\xff\\xfe"} and events["0"]["headers_bytes"] == {"h": "//4="}
        assert events["1"]["headers"] == {"\\xff": "v"}
        assert events["2"]["headers"] == {"Status": "404", "Description": "No Messages"}
        assert events["4"]["headers"] == {"Status": "404", "Description": "No Messages"}
        assert events["6"]["data"] == {"n": 7} and events["8"]["data"] == {"n": 9}
        assert events["9"]["headers"] == {"a": "2", "b": "x"}
        assert events["9"]["headers_all"] == {"a": ["1", "2"], "b": ["x"]}
        assert events["caf\\xe9"]["subject_bytes"] and events["last"]["data"] == {"n": 21}
        assert all(item["failures"] == 0 for item in daemon.get("/api/v1/triggers")["items"])
        if mode == "jetstream":
            eventually(lambda: all_acknowledged(nats_server, f"odd{mode}"), 20, "some are not acknowledged")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("stream: NOSUCH", "there is no stream NOSUCH"),
        ("bucket: nosuch", "there is no stream KV_nosuch"),
        ("stream: held, durable: d, subject: held.b", "the consumer d of held reads held.a, not held.b"),
        ("stream: held, durable: e, subject: elsewhere.b", "filter"),
    ],
)
def test_a_stream_that_cannot_be_read_is_its_own_fault(
    nats_server: Server, tmp_path: Path, bad: str, reason: str
) -> None:
    async def work(client: Any) -> None:
        await client.jetstream().add_stream(StreamConfig(name="held", subjects=["held.>"]))
        await client.jetstream().add_consumer(
            "held", ConsumerConfig(durable_name="d", filter_subject="held.a", ack_policy=AckPolicy.EXPLICIT)
        )

    using(nats_server, work)

    def publish(part: Sequence[int]) -> None:
        raw_publish(nats_server, *[pub(b"neighbour", json.dumps({"n": n}).encode()) for n in part])

    stands_alone(
        Daemon(tmp_path), f"kind: nats\nsettings: {{url: '{nats_server.url}'}}\n",
        "nats: {connection: shared, subject: neighbour}", f"nats: {{connection: shared, {bad}}}", publish, reason,
    )  # fmt: skip


class Guarded(Server):
    """A server whose user may read `open.>` alone, until `allow` says more."""

    def command(self) -> list[str]:
        self.allow("open.>")
        return ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-c", str(self.folder / "conf")]

    def allow(self, *subjects: str) -> None:
        rights = json.dumps({"subscribe": [*subjects, "_INBOX.>"], "publish": [">"]})
        user = f'user: u, password: "p", permissions: {rights}'
        text = "authorization { users = [{" + user + "}] }\nno_auth_user: u\n"
        (self.folder / "conf").write_text(text)
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)


def test_a_subject_without_the_right_to_it_is_its_own_fault(tmp_path: Path) -> None:
    """Also one that is taken away while the daemon listens: the server says it once, and then nothing comes."""
    server = Guarded()
    try:
        server.start()

        def publish(part: Sequence[int]) -> None:
            raw_publish(server, *[pub(b"open.a", json.dumps({"n": n}).encode()) for n in part])

        daemon = Daemon(tmp_path)
        stands_alone(
            daemon, f"kind: nats\nsettings: {{url: '{server.url}'}}\n", "nats: {connection: shared, subject: open.a}",
            "nats: {connection: shared, subject: secret.a}", publish, "permissions violation",
        )  # fmt: skip
    finally:
        server.close()


async def test_the_other_side_takes_away_what_it_reads(nats_server: Server) -> None:
    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    config = StreamConfig(name="away", subjects=["away.>"])

    async def make(number: int) -> None:
        with contextlib.suppress(NoStreamResponseError):
            await stream.publish("away.n", b"%d" % number)

    async def add() -> None:
        await stream.add_stream(config)

    async def nothing() -> None:
        return None

    async def delete_consumer() -> None:
        await stream.delete_consumer("away", "reactor")

    async def delete_stream() -> None:
        await stream.delete_stream("away")

    guarded = Guarded()
    try:
        await add()
        for take_away, give_back in ((delete_consumer, nothing), (delete_stream, add)):
            lent = Lent(Kind, {"url": nats_server.url})
            found = await trigger_suite.notices_what_is_taken_away(
                Nats, options(stream="away"), make, take_away, give_back, lent
            )
            assert found.events[-1].data == 1 and "away" in found.warnings[-1]
        await anyio.to_thread.run_sync(guarded.start)
        guarded.allow("open.>", "secret.>")
        lent = Lent(Kind, {"url": guarded.url})

        async def publish(number: int) -> None:
            await anyio.to_thread.run_sync(raw_publish, guarded, pub(b"secret.a", b"%d" % number))

        async def deny() -> None:
            guarded.allow("open.>")

        async def allow() -> None:
            guarded.allow("open.>", "secret.>")

        found = await trigger_suite.notices_what_is_taken_away(
            Nats, options(subject="secret.a"), publish, deny, allow, lent
        )
        assert "permissions violation" in found.warnings[-1]
    finally:
        guarded.close()
        await client.close()


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
